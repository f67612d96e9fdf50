#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Synthetic card payments, as the issuer of the cards sees them.

    python3 world.py stream.csv --cards 100000 --days 7     # a stream for load tests

The data is invented, but the way a card portfolio behaves is taken seriously: cards have a home, an income, an hour of
the day and shops they like; some travel; shops have a size, a line and a price level. Fraud comes in episodes of four
kinds: card testing (one shop, many stolen cards within the hour, a cash-out from those that live), counterfeit cards
used abroad, taken-over accounts, and single purchases that look like any other, which no model finds. Labels have
noise: some fraud is never reported, some purchases are disputed falsely. An issuer is a closed world: nothing of its
cards and shops is seen by another one, so that a small issuer's stream is complete.
"""
import argparse
import csv
import datetime

import numpy as np

START = datetime.datetime(2024, 3, 1, tzinfo=datetime.timezone.utc)
DAY = 86400.0

# country: (share of cards, currency, hours ahead of UTC)
COUNTRIES = {
    "DE": (0.26, "EUR", 1), "FR": (0.18, "EUR", 1), "GB": (0.16, "GBP", 0), "ES": (0.10, "EUR", 1),
    "NL": (0.08, "EUR", 1), "PL": (0.08, "PLN", 1), "SE": (0.06, "SEK", 1), "CH": (0.05, "CHF", 1),
    "US": (0.03, "USD", -5),
}
TRAVEL = ["ES", "FR", "IT", "GB", "US", "AT", "GR", "TR", "TH"]
FRAUD_ABROAD = ["US", "BR", "TH", "TR", "MX", "GB", "RO"]
CURRENCY = {c: v[1] for c, v in COUNTRIES.items()}
CURRENCY.update({"IT": "EUR", "AT": "EUR", "GR": "EUR", "TR": "TRY", "TH": "THB", "BR": "BRL", "MX": "MXN",
                 "RO": "RON"})
FX = {"EUR": 1.0, "GBP": 1.17, "USD": 0.92, "PLN": 0.23, "SEK": 0.088, "CHF": 1.04, "TRY": 0.029, "THB": 0.026,
      "BRL": 0.18, "MXN": 0.054, "RON": 0.2}
# category: (share of legitimate use, typical EUR, spread of its logarithm, share bought online)
CATEGORIES = {
    "grocery": (0.30, 32, 0.7, 0.06), "restaurant": (0.16, 28, 0.6, 0.05), "fuel": (0.09, 55, 0.35, 0.0),
    "clothing": (0.08, 60, 0.7, 0.45), "electronics": (0.05, 140, 1.0, 0.6), "travel": (0.05, 210, 0.9, 0.8),
    "pharmacy": (0.06, 18, 0.6, 0.1), "cash": (0.06, 90, 0.6, 0.0), "digital_goods": (0.06, 12, 0.7, 1.0),
    "gift_cards": (0.015, 45, 0.6, 0.85), "jewellery": (0.01, 180, 1.0, 0.3), "household": (0.065, 48, 0.8, 0.35),
}
NAMES = list(CATEGORIES)
RAW = ["transaction_id", "timestamp", "card", "merchant", "amount", "currency", "country", "home_country",
       "merchant_category", "channel", "card_present", "device", "customer_age", "account_age_days"]


class Issuer:
    """One issuer's cards and shops, which depend on seed, cards and number alone; its stream on all of the arguments.

    first: the day of START on which the stream begins; fraud: how many times as much of it as usual; changed: the
    world after training, of higher prices, shops that sell by telephone and gangs that try more cards.
    """

    def __init__(self, seed, cards, days, number=0, first=0, fraud=1.0, changed=False):
        rng = np.random.default_rng([seed, number])
        self.rng = np.random.default_rng([seed, number, first, 1])
        self.cards, self.days, self.number, self.fraud, self.changed = cards, days, number, fraud, changed
        self.first = first
        homes = np.array(list(COUNTRIES))
        shares = np.array([v[0] for v in COUNTRIES.values()])
        self.home = rng.choice(homes, cards, p=shares / shares.sum())
        self.zone = np.array([COUNTRIES[h][2] for h in self.home])
        self.age = np.clip(rng.normal(44, 16, cards), 18, 92).astype(int)
        self.age_known = rng.random(cards) > 0.04
        self.opened = np.where(rng.random(cards) < 0.93, -rng.gamma(1.4, 700, cards), -rng.uniform(0, 60, cards))
        self.income = rng.lognormal(0, 0.4, cards)
        self.rate = rng.gamma(2.0, 0.3, cards)
        self.hour = rng.normal(14.5, 2.0, cards)
        shops = max(60, cards // 12)
        self.shop_category = np.concatenate([np.repeat(np.arange(len(NAMES)), 3), rng.choice(
            len(NAMES), shops - 3 * len(NAMES), p=np.array([v[0] for v in CATEGORIES.values()]) ** 0.6 / np.sum(
                np.array([v[0] for v in CATEGORIES.values()]) ** 0.6))])
        self.shop_level = rng.lognormal(0, 0.35, len(self.shop_category))
        self.shop_weight = rng.pareto(1.3, len(self.shop_category)) + 0.2
        self.by_category = [np.flatnonzero(self.shop_category == k) for k in range(len(NAMES))]
        self.parts = []

    def shops(self, category):
        out = np.empty(len(category), int)
        for k, choices in enumerate(self.by_category):
            at = np.flatnonzero(category == k)
            weight = self.shop_weight[choices]
            out[at] = self.rng.choice(choices, len(at), p=weight / weight.sum())
        return out

    def spend(self, t, card, shop, channel=None, country=None, factor=1.0, device=None, fraud=0):
        """Adds payments; arrays, or one value for all."""
        rng, n = self.rng, len(t)
        card, shop = np.broadcast_to(card, n), np.broadcast_to(shop, n)
        kind = self.shop_category[shop]
        typical, spread, online = np.array([CATEGORIES[c][1:] for c in NAMES]).T
        if channel is None:
            channel = np.where(rng.random(n) < online[kind], "ecom", "pos")
            channel = np.where(kind == NAMES.index("cash"), "atm", channel)
            channel = np.where((channel == "ecom") & (rng.random(n) < 0.04), "phone", channel)
            if self.changed:        # shops move to the telephone
                channel = np.where((channel == "pos") & (rng.random(n) < 0.25), "phone", channel)
        channel = np.broadcast_to(channel, n)
        country = self.home[card] if country is None else np.broadcast_to(country, n)
        eur = np.maximum(0.5, typical[kind] * self.shop_level[shop] * self.income[card] * factor
                         * rng.lognormal(0, 0.8 * spread[kind]))
        if self.changed:            # prices
            eur = eur * 1.7
        eur = np.where(channel == "atm", np.maximum(10.0, np.round(eur / 10) * 10), eur)
        if device is None:
            device = np.where(rng.random(n) < 0.05, "new", "known")
        device = np.where(np.isin(channel, ["ecom", "phone"]), device, "")
        at_home = (channel == "ecom") & (rng.random(n) > 0.3)
        currency = [CURRENCY[h if o else c] for c, h, o in zip(country, self.home[card], at_home)]
        amount = np.round(eur / np.array([FX[c] for c in currency]), 2)
        self.parts.append((np.asarray(t, float), card, shop, amount, np.array(currency), country, channel, device,
                           np.broadcast_to(fraud, n)))

    def ordinary_life(self):
        rng = self.rng
        count = rng.poisson(self.rate * self.days)
        card = np.repeat(np.arange(self.cards), count)
        n = len(card)
        t = (rng.integers(0, self.days, n) + rng.normal(self.hour[card], 3.6) % 24 / 24) * DAY - self.zone[card] * 3600
        share = np.array([v[0] for v in CATEGORIES.values()])
        category = rng.choice(len(NAMES), n, p=share / share.sum())
        country = self.home[card].copy()
        for c in np.flatnonzero(rng.random(self.cards) < 0.06):     # on a journey
            start = rng.uniform(-5, self.days)
            away = (card == c) & (t >= start * DAY) & (t < (start + rng.uniform(2, 12)) * DAY)
            country[away] = rng.choice(TRAVEL)
        again = np.flatnonzero(rng.random(n) < 0.07)                # shops lie next to each other
        t = np.concatenate([t, t[again] + rng.uniform(120, 2400, len(again))])
        card, country = np.concatenate([card, card[again]]), np.concatenate([country, country[again]])
        category = np.concatenate([category, rng.choice(len(NAMES), len(again), p=share / share.sum())])
        self.spend(t, card, self.shops(category), country=country)

    def one_shop(self, names):
        return self.rng.choice(np.concatenate([self.by_category[NAMES.index(n)] for n in names]))

    def episodes(self):
        rng = self.rng
        weight = 1.0 + 1.2 * (self.opened > -90) + 0.3 * (self.age > 70)
        victims = lambda k: rng.choice(self.cards, k, p=weight / weight.sum())
        per = self.fraud * self.cards * self.days
        for _ in range(rng.poisson(per * 4.4e-5 * (2.0 if self.changed else 1.0))):    # a shop to try cards at
            start, shop = rng.uniform(0, self.days - 0.5) * DAY, self.one_shop(["digital_goods", "gift_cards"])
            for card in victims(rng.integers(8, 26)):
                first = start + rng.uniform(0, 4000)
                tries = rng.integers(1, 4)
                self.spend(first + np.sort(rng.uniform(0, 300, tries)), card, shop, "ecom", factor=0.15, device="new",
                           fraud=1)
                if rng.random() < 0.5:
                    n = rng.integers(1, 4)
                    goods = [self.one_shop(["electronics", "gift_cards", "jewellery", "travel"]) for _ in range(n)]
                    self.spend(first + 600 + np.cumsum(rng.uniform(60, 3000, n)), card, np.array(goods), "ecom",
                               factor=rng.uniform(0.8, 4), device="new", fraud=1)
        for card in victims(rng.poisson(per * 4.0e-4)):             # a copied stripe, far from home
            n = rng.integers(1, 6)
            goods = np.array([self.one_shop([g]) for g in rng.choice(
                ["cash", "electronics", "clothing", "fuel", "jewellery"], n, p=[.4, .2, .15, .15, .1])])
            channel = np.where(self.shop_category[goods] == NAMES.index("cash"), "atm", "pos")
            self.spend(rng.uniform(0, self.days - 0.5) * DAY + np.cumsum(rng.uniform(200, 9000, n)), card, goods,
                       channel, str(rng.choice(FRAUD_ABROAD)), rng.uniform(0.8, 3), fraud=1)
        for card in victims(rng.poisson(per * 4.0e-4)):             # somebody else's phone, at night
            n = rng.integers(1, 5)
            goods = np.array([self.one_shop(["electronics", "gift_cards", "travel", "clothing", "jewellery"])
                              for _ in range(n)])
            self.spend(rng.integers(0, self.days) * DAY + rng.uniform(-1, 5) * 3600
                       + np.cumsum(rng.uniform(100, 5000, n)), card, goods,
                       rng.choice(["ecom", "phone"], n, p=[0.85, 0.15]), factor=rng.uniform(0.7, 4),
                       device="new" if rng.random() < 0.85 else "known", fraud=1)
        singles = victims(rng.poisson(per * 2e-4))                  # not to be told from the rest
        self.spend(rng.uniform(0, self.days, len(singles)) * DAY, singles,
                   rng.integers(0, len(self.shop_category), len(singles)), fraud=1)

    def stream(self):
        """All payments in the order of time: a list for each name of RAW, and `fraud`, the label."""
        self.ordinary_life()
        self.episodes()
        t, card, shop, amount, currency, country, channel, device, fraud = (
            np.concatenate(c) for c in zip(*self.parts))
        keep = np.flatnonzero((t >= 0) & (t < self.days * DAY))
        order = keep[np.argsort(t[keep], kind="stable")]
        rng, n = self.rng, len(order)
        t, card, shop, fraud = np.floor(t[order]), card[order], shop[order], fraud[order]
        noise = rng.random(n)
        category = np.array(NAMES, object)[self.shop_category[shop]]
        category[rng.random(n) < 0.006] = ""        # the application does not always know
        channel = channel[order]
        return {
            "transaction_id": ["T%d%02d%05d" % (self.number, self.first, i) for i in range(n)],
            "timestamp": (START.timestamp() + self.first * DAY + t).astype(np.int64),
            "card": ["C%d%05d" % (self.number, c) for c in card],
            "merchant": ["M%d%04d" % (self.number, s) for s in shop],
            "amount": amount[order], "currency": list(currency[order]), "country": list(country[order]),
            "home_country": list(self.home[card]), "merchant_category": list(category), "channel": list(channel),
            "card_present": np.isin(channel, ["pos", "atm"]), "device": list(device[order]),
            "customer_age": np.where(self.age_known[card], self.age[card], np.nan),
            "account_age_days": np.floor(self.first + t / DAY - self.opened[card]).astype(int),
            "fraud": np.where(fraud == 1, noise > 0.04, noise < 0.0003).astype(int),
        }


def merge(streams):
    """Several issuers' streams as one, in the order of time."""
    order = np.argsort(np.concatenate([s["timestamp"] for s in streams]), kind="stable")
    out = {}
    for name in streams[0]:
        if isinstance(streams[0][name], list):
            whole = np.array([v for s in streams for v in s[name]], object)
            out[name] = list(whole[order])
        else:
            out[name] = np.concatenate([s[name] for s in streams])[order]
    return out


def write_rows(path, rows):
    """A CSV file as the application writes it."""
    with open(path, "w", newline="", encoding="utf-8") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(RAW)
        for i in range(len(rows["timestamp"])):
            r = {name: rows[name][i] for name in RAW}
            r["timestamp"] = datetime.datetime.fromtimestamp(int(r["timestamp"]), datetime.timezone.utc).strftime(
                "%Y-%m-%dT%H:%M:%SZ")
            r["amount"] = "%.2f" % r["amount"]
            r["card_present"] = "true" if r["card_present"] else "false"
            r["customer_age"] = "" if np.isnan(r["customer_age"]) else int(r["customer_age"])
            out.writerow([r[name] for name in RAW])


def main():
    parser = argparse.ArgumentParser(description="Writes a stream of payments.")
    parser.add_argument("out")
    parser.add_argument("--cards", type=int, default=100000)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    write_rows(args.out, merge([Issuer(args.seed, 1000, args.days, k).stream() for k in range(args.cards // 1000)]))


if __name__ == "__main__":
    main()
