"""A generative adversarial network on points of the plane: two networks, two optimizers, alternating steps in a loop of one's own.

The data are a bent cloud: x ~ N(1, 0.8²), y = x² / 2 + N(0, 0.3²). The generator turns 4 normal numbers into a point; the critic says how
likely a point is to be real. Each step trains the critic on real and generated points, then the generator by the critic's gradient
(Goodfellow et al. 2014, arXiv:1406.2661, with the non-saturating loss). The two circle around their balance, so the generator that is
judged has the average of the weights of its last steps (Yazici et al. 2019, arXiv:1806.04498).

Mean and covariance of 20,000 generated points come within MEAN_BOUND and COVARIANCE_BOUND of the data's.
"""
import numpy as np

import vivace as vv
from vivace import nn, optim

NOISE, BATCH, STEPS, AVERAGED = 4, 128, 3000, 0.995
MEAN_BOUND, COVARIANCE_BOUND = 0.15, 0.25


def real_points(rng, n):
    """n points of the bent cloud, (n, 2)."""
    x = rng.normal(1.0, 0.8, n)
    return np.stack([x, x * x / 2 + rng.normal(0, 0.3, n)], axis=1).astype(np.float32)


def real_moments():
    """Mean and covariance of the bent cloud, from the moments of the normal distribution."""
    m, s = 1.0, 0.8
    mean = np.array([m, (m * m + s * s) / 2])
    return mean, np.array([[s * s, m * s * s], [m * s * s, (4 * m * m * s * s + 2 * s ** 4) / 4 + 0.3 ** 2]])


def network(inputs, outputs, hidden=32):
    return nn.Sequential(nn.Linear(inputs, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, hidden), nn.LeakyReLU(0.2),
                         nn.Linear(hidden, outputs))


def main(steps=STEPS, seed=0, verbose=False):
    vv.manual_seed(seed)
    rng = np.random.default_rng(seed)
    generator, critic = network(NOISE, 2), network(2, 1)
    g_optimizer = optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.99))
    c_optimizer = optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.99))
    loss = nn.BCEWithLogitsLoss()
    real, fake = np.ones((BATCH, 1), np.float32), np.zeros((BATCH, 1), np.float32)
    noise = lambda n: rng.standard_normal((n, NOISE), np.float32)
    average = generator.state_dict()

    for step in range(steps):
        generated = generator(noise(BATCH)).detach()  # the critic's step leaves the generator alone
        c_loss = loss(critic(real_points(rng, BATCH)), real) + loss(critic(generated), fake)
        c_optimizer.zero_grad()
        c_loss.backward()
        c_optimizer.step()

        g_loss = loss(critic(generator(noise(BATCH))), real)  # a generator is good when its points are taken for real
        g_optimizer.zero_grad()
        g_loss.backward()  # also into the critic, whose next step forgets it
        g_optimizer.step()

        for name, value in generator.state_dict().items():
            average[name] = AVERAGED * average[name] + (1 - AVERAGED) * value
        if verbose and step % 500 == 499:
            print(f"step {step + 1}: critic {c_loss.item():.3f}, generator {g_loss.item():.3f}")

    generator.load_state_dict(average)
    with vv.no_grad():
        points = generator(noise(20000)).numpy()
    mean, covariance = real_moments()
    found_mean, found_covariance = points.mean(axis=0), np.cov(points.T)
    return {"mean": found_mean, "covariance": found_covariance, "real_mean": mean, "real_covariance": covariance,
            "mean_error": np.abs(found_mean - mean).max(), "covariance_error": np.abs(found_covariance - covariance).max()}


if __name__ == "__main__":
    for name, value in main(verbose=True).items():
        print(f"{name}: {np.round(value, 3).tolist()}")
