"""Rare words: Adagrad against plain gradient descent on sparse features, at equal steps and each with the best of several rates.

Every row is a text of about 20 words out of 3000, word j appearing about 1/j as often as the first (Zipf's law). Each word speaks for one
of two classes, rare ones as loudly as common ones. A common word gets a gradient in almost every step, a rare one in almost none:
one learning rate for both is too large for the first or too small for the second. Adagrad divides by the root of the sum of squared
gradients that a weight has had, so a word that is seldom seen still moves far when it is seen.
"""
import numpy as np
import scipy.sparse

import vivace as vv
from vivace import nn, optim

WORDS, ROWS, TEST, LENGTH, EPOCHS, BATCH = 3000, 12_000, 2000, 20, 1, 30
RATES = {"SGD": (1.0, 2.0, 4.0, 8.0, 16.0), "Adagrad": (0.1, 0.2, 0.4, 0.8)}


def data(seed=0):
    """X (ROWS + TEST, WORDS) sparse, one 1 per word of a text, and its class 0 or 1."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, WORDS + 1)
    words = rng.choice(WORDS, (ROWS + TEST, LENGTH), p=share / share.sum())
    texts = np.repeat(np.arange(ROWS + TEST), LENGTH)
    X = scipy.sparse.csr_matrix((np.ones(words.size, np.float32), (texts, words.ravel())), (ROWS + TEST, WORDS))
    X.data[:] = 1  # a word that comes twice counts once
    speaks_for = rng.choice([-1.0, 1.0], WORDS)
    voices = X @ speaks_for
    return X, (voices > np.median(voices)).astype(int)


def train(name, rate, X, y):
    """(loss, accuracy) on the rows held out, after EPOCHS * ROWS / BATCH steps."""
    vv.manual_seed(0)
    model = nn.Sequential(nn.Linear(WORDS, 1))
    model[0].weight.copy_(np.zeros((1, WORDS)))
    optimizer = getattr(optim, name)(model.parameters(), lr=rate)
    trainer = vv.Trainer(model, nn.BCEWithLogitsLoss(), optimizer, metrics=["accuracy"], seed=0)
    trainer.fit(X[:ROWS], y[:ROWS], epochs=EPOCHS, batch_size=BATCH, verbose=0)
    score = trainer.evaluate(X[ROWS:], y[ROWS:])
    return score["loss"], score["accuracy"]


def main():
    """{name: {rate, loss, accuracy}} with the rate of the lowest loss."""
    X, y = data()
    results = {}
    for name, rates in RATES.items():
        found = {rate: train(name, rate, X, y) for rate in rates}
        best = min(found, key=lambda rate: found[rate][0])
        results[name] = {"rate": best, "loss": found[best][0], "accuracy": found[best][1]}
        print(f"{name:8} rate {best:<4g} loss on new texts {found[best][0]:.3f}, accuracy {found[best][1]:.3f}")
    return results


if __name__ == "__main__":
    main()
