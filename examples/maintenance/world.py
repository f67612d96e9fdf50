# SPDX-License-Identifier: BSD-2-Clause
"""Synthetic sensors of slow cooling fans, and what goes wrong with them.

Each fan sends a row a second: vibration (a sample of the acceleration, not a mean), temperature of the bearing, motor
current and air pressure. Fans differ: speed, balance, load, where they stand. Loads follow the day (shortened to half
an hour), a sensor is noisy or drops rows now and then. Three things break fans: a bearing wears (the vibration gets
sharp and high, the bearing warm), a blade loosens (the vibration at the speed itself swings up), the motor's winding
fails (current and temperature climb, the pressure sinks). A fault grows for 300 to 900 seconds and ends with the fan's
failure; what took weeks takes minutes here, so that the files stay small. After a failure the fan is a new one.
"""
import numpy as np

START = 1718000000      # seconds since 1970
CHANNELS = ["vibration", "temperature", "current", "pressure"]


def fan(seed, number, seconds, faults=1.0, changed=False):
    """The rows of one fan: times, values (rows, 4), and the seconds to its next failure (infinite: none to come)."""
    fixed, rng = np.random.default_rng([seed, number]), np.random.default_rng([seed, number, seconds, int(changed)])
    speed, phase = fixed.uniform(0.09, 0.15), fixed.uniform(0, 2 * np.pi)
    balance, load = fixed.lognormal(-0.2, 0.25), fixed.uniform(0.7, 1.2)
    noise, ambient = fixed.uniform(0.12, 0.22), fixed.normal(0, 2.0)
    t = np.arange(seconds)
    day = 1 + 0.12 * np.sin(2 * np.pi * t / 1800 + fixed.uniform(0, 6)) + 0.02 * np.cumsum(
        rng.normal(0, 0.05, seconds)).clip(-4, 4)
    turn = phase + 2 * np.pi * np.cumsum(speed * (1 + 0.02 * (day - 1)))
    wear = np.zeros((3, seconds))       # how far each fault has grown, 0 to 1
    left = np.full(seconds, np.inf)
    at = int(rng.uniform(0, 1500 / max(faults, 1e-9))) if faults else seconds
    if rng.random() < 0.35 * (faults > 0):
        at = -int(rng.uniform(0, 700))   # already on its way when the stream begins
    while at < seconds:
        growth, kind = int(rng.uniform(300, 900)), rng.integers(3)
        span = np.arange(max(at, 0), min(at + growth, seconds))
        wear[kind, span] = ((span - at) / growth) ** 1.6
        left[span] = at + growth - span
        if (free := np.arange(max(at - 10**6, 0), max(at, 0))).size:
            free = free[np.isinf(left[free])]
            left[free] = at + growth - free
        at += growth + int(rng.uniform(200, 2500 / max(faults, 1e-9)))
    bearing, blade, winding = wear
    impulse = (np.sin(turn * 3.7) > 0.9) * rng.normal(0, 1, seconds)
    vibration = balance * (1 + 1.6 * blade) * np.sin(turn) + 0.3 * balance * np.sin(2 * turn + 1) \
        + noise * rng.normal(0, 1, seconds) + 1.7 * bearing * impulse + 0.5 * bearing * rng.normal(0, 1, seconds)
    heat = 41 + ambient + 14 * load * (day - 0.85) + 9 * bearing + 14 * winding
    for i in range(1, seconds):         # heat is slow
        heat[i] = heat[i - 1] + 0.03 * (heat[i] - heat[i - 1])
    temperature = heat + rng.normal(0, 0.25, seconds)
    current = load * day * (8.0 + 2.6 * winding + 0.5 * blade) + rng.normal(0, 0.12, seconds)
    pressure = 250 * load * day * (1 - 0.10 * winding - 0.05 * blade) + rng.normal(0, 3.0, seconds)
    if changed:                         # a hot summer, and a new kind of pressure sensor
        temperature = temperature + 7.5
        pressure = 0.9 * pressure + 12 + rng.normal(0, 4.0, seconds)
    values = np.stack([vibration, temperature, current, pressure], axis=1)
    sent = rng.random(seconds) > 0.004
    return START + t[sent], values[sent], left[sent]


def park(seed, fans, seconds, first=0, **how):
    """The rows of many fans as they come in: times, fans, values rounded as they are sent, seconds to failure."""
    parts = [fan(seed, first + k, seconds, **how) for k in range(fans)]
    order_of = np.random.default_rng([seed, first, 99])
    t = np.concatenate([p[0] for p in parts])
    asset = np.concatenate([np.full(len(p[0]), first + k) for k, p in enumerate(parts)])
    order = np.lexsort((order_of.random(len(t)), t))
    values = np.concatenate([p[1] for p in parts])[order]
    values = np.stack([np.round(values[:, c], digits) for c, digits in enumerate((3, 2, 2, 1))], axis=1)
    return t[order], asset[order], values, np.concatenate([p[2] for p in parts])[order]
