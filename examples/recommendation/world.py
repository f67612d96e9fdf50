# SPDX-License-Identifier: BSD-2-Clause
"""An invented shop: items of twelve categories, people who look at them, and what they look at next.

Items have a taste (sixteen hidden numbers around those of their category), a price and a fame. People like some categories,
more or less depending on age and country, and mind prices. What somebody looks at next is drawn among all items by taste,
fame, price, the hour, and what was looked at just before. Nothing hidden is in the data.
"""
import numpy as np

ITEMS, HIDDEN, RECENT = 800, 16, 10
CATEGORIES = ["audio", "books", "cameras", "clothing", "garden", "games", "kitchen", "music", "phones", "sports",
              "toys", "wine"]
ADULT = "wine"
COUNTRIES = ["DE", "ES", "FR", "GB", "NL", "SE"]


class Shop:
    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.category = rng.integers(0, len(CATEGORIES), ITEMS)
        self.centre = rng.normal(0, 1, (len(CATEGORIES), HIDDEN))
        self.taste = 0.75 * self.centre[self.category] + 0.65 * rng.normal(0, 1, (ITEMS, HIDDEN))
        self.price = np.round(np.exp(rng.normal(3.3, 0.5, ITEMS) + rng.normal(0, 0.6, len(CATEGORIES))[self.category]), 2)
        self.fame = 0.9 * rng.gumbel(0, 0.8, ITEMS)
        self.by_age = rng.normal(0, 0.8, len(CATEGORIES))
        self.by_country = rng.normal(0, 0.5, (len(COUNTRIES), len(CATEGORIES)))
        self.by_hour = rng.uniform(0, 24, len(CATEGORIES))
        self.follows = rng.integers(0, len(CATEGORIES), len(CATEGORIES))    # who looks at this goes on to that
        self.names = ["I%04d" % i for i in range(ITEMS)]

    def requests(self, rng, n, changed=False):
        """n requests: age, country, hour, the items looked at (latest last), and the one that comes next."""
        age = np.clip(rng.normal(38, 15, n), 12, 90).astype(int)
        country = rng.choice(len(COUNTRIES), n, p=[.3, .15, .2, .2, .08, .07])
        hour = (rng.normal(15, 5, n) % 24).astype(int)
        if changed:     # a campaign brings young people at night, and one category is the fashion
            age = np.clip(rng.normal(22, 5, n), 12, 90).astype(int)
            hour = (rng.normal(22, 3, n) % 24).astype(int)
        loves = rng.integers(0, len(CATEGORIES), (n, 2))
        person = 0.7 * self.centre[loves].mean(axis=1) + 0.35 * rng.normal(0, 1, (n, HIDDEN))
        meanness = rng.uniform(0.0, 0.5, n)
        lean = (0.5 * (age[:, None] - 38) / 15 * self.by_age + self.by_country[country]
                + 0.7 * np.cos((hour[:, None] - self.by_hour) * 2 * np.pi / 24))
        if changed:
            lean[:, 5] += 2.5
        fixed = person @ self.taste.T * 0.8 + lean[:, self.category] + self.fame \
            - meanness[:, None] * np.log(self.price / 27)
        count = rng.integers(1, RECENT + 1, n)
        seen = np.full((n, RECENT + 1), -1)
        last = np.full(n, -1)
        for k in range(RECENT + 1):
            score = fixed + rng.gumbel(0, 1, (n, ITEMS))
            follow = np.flatnonzero(last >= 0)
            score[follow] += 0.9 * (self.category == self.follows[self.category[last[follow]]][:, None]) \
                + 0.2 * self.taste[last[follow]] @ self.taste.T
            np.put_along_axis(score, np.maximum(seen, 0), -np.inf, axis=1) if k else None
            last = score.argmax(axis=1)
            seen[:, k] = last
        rows = []
        for i in range(n):
            rows.append((int(age[i]), COUNTRIES[country[i]], int(hour[i]), seen[i, RECENT - count[i]:RECENT].tolist(),
                         int(seen[i, RECENT])))
        return rows
