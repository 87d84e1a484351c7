"""A policy that balances a pole on a cart, by policy gradient, with the cart written in NumPy.

The cart is pushed left or right 50 times a second; an episode ends when the pole leans by more than 12 degrees, when the cart is 2.4 m
away, or after 200 steps, and is worth its number of steps (Barto, Sutton and Anderson 1983; equations of Florian 2007). The task counts
as solved at an average of 195 steps over 100 episodes.

REINFORCE (Williams 1992): the gradient of the expected return is that of the mean of log pi(action) A, A the steps still to come, less
their mean over the carts at that time. By the logits it is known: d(-log pi) / dz = softmax(z) - onehot(action), so the loop hands it to
backward() itself.
"""
import time

import numpy as np

import vivace as vv
from vivace import nn, optim

STEPS, CARTS = 200, 32
GRAVITY, CART_MASS, POLE_MASS, HALF_POLE, FORCE, SECONDS = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
FARTHEST, STEEPEST = 2.4, np.radians(12)


def push(state, action):
    """States (n, 4) = (place, speed, angle, its speed) after one step of pushes `action` (n,), 0 left, 1 right."""
    place, speed, angle, turning = state.T
    force = np.where(action == 1, FORCE, -FORCE)
    mass, sine, cosine = CART_MASS + POLE_MASS, np.sin(angle), np.cos(angle)
    common = (force + POLE_MASS * HALF_POLE * turning ** 2 * sine) / mass
    twist = (GRAVITY * sine - cosine * common) / (HALF_POLE * (4 / 3 - POLE_MASS * cosine ** 2 / mass))
    pull = common - POLE_MASS * HALF_POLE * twist * cosine / mass
    return np.stack([place + SECONDS * speed, speed + SECONDS * pull, angle + SECONDS * turning, turning + SECONDS * twist], axis=1)


def probabilities(policy, state):
    with vv.no_grad():
        z = policy(state.astype(np.float32)).numpy()
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def episodes(policy, carts, rng):
    """An episode of each cart, actions drawn by the policy: states (T, n, 4), actions (T, n), whether it was still on (T, n)."""
    state, on = rng.uniform(-0.05, 0.05, (carts, 4)), np.ones(carts, bool)
    seen = []
    while on.any() and len(seen) < STEPS:
        action = (rng.random(carts) < probabilities(policy, state)[:, 1]).astype(np.int64)
        seen.append((state, action, on))
        state = np.where(on[:, None], push(state, action), state)
        on = on & (np.abs(state[:, 0]) <= FARTHEST) & (np.abs(state[:, 2]) <= STEEPEST)
    return map(np.array, zip(*seen))


def average_steps(policy, rng, count=100):
    """Mean length of `count` new episodes."""
    _, _, on = episodes(policy, count, rng)
    return float(on.sum(axis=0).mean())


def main(seed=0, updates=300, goal=199, verbose=False):
    """Train until 100 episodes that nothing was trained on reach `goal` (a little more than 195, since the next 100 will differ)."""
    vv.manual_seed(seed)
    rng = np.random.default_rng(seed)
    policy = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2))
    optimizer = optim.Adam(policy.parameters(), lr=0.02)
    began, lengths = time.perf_counter(), []
    for update in range(updates):
        state, action, on = episodes(policy, CARTS, rng)
        lengths.append(float(on.sum(axis=0).mean()))
        if verbose:
            print(f"update {update}: {lengths[-1]:.0f} steps")
        if lengths[-1] >= goal and average_steps(policy, rng) >= goal:
            break
        to_come = np.cumsum(on[::-1], axis=0)[::-1].astype(float)
        advantage = (to_come - to_come.mean(axis=1, keepdims=True))[on]
        advantage /= advantage.std() + 1e-8

        logits = policy(state[on].astype(np.float32))
        slope = probabilities(policy, state[on]) - np.eye(2)[action[on]]
        optimizer.zero_grad()
        logits.backward(slope * advantage[:, None] / len(slope))
        optimizer.step()
    return {"updates": len(lengths) - 1, "lengths": lengths, "average_steps": average_steps(policy, rng),
            "seconds": time.perf_counter() - began}


if __name__ == "__main__":
    result = main(verbose=True)
    print(f"{result['average_steps']:.1f} steps on average over 100 episodes, after {result['updates']} updates, {result['seconds']:.1f} s")
