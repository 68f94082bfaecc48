"""The workload of bench:simulation-peers, as every Python contender reads it: data in .npy files, terms in workload.json.

Written by `pulsefold bench simulate --export-data DIR`; the same bytes that our own run trains on.
"""

import json
import os
import sys
import time

import numpy as np


class Workload:
    """Training rows of client i: offsets[i] up to offsets[i + 1]."""

    def __init__(self, directory):
        def load(name):
            # Mapped, so that worker processes share the pages.
            return np.load(os.path.join(directory, name + ".npy"), mmap_mode="r")

        self.features = load("train_features")
        self.labels = load("train_labels")
        self.offsets = load("offsets")
        self.test_features = np.asarray(load("test_features"))
        self.test_labels = np.asarray(load("test_labels"))
        with open(os.path.join(directory, "workload.json"), encoding="utf8") as file:
            terms = json.load(file)
        self.rounds = terms["rounds"]
        self.cohort = terms["cohort"]
        self.batch = terms["batch"]
        self.epochs = terms["epochs"]
        self.learning_rate = terms["learningRate"]
        self.seed = terms["seed"]
        self.inputs = self.features.shape[1]
        self.classes = terms["classes"]
        self.clients = len(self.offsets) - 1

    def rows_of(self, client):
        rows = slice(int(self.offsets[client]), int(self.offsets[client + 1]))
        return np.asarray(self.features[rows]), np.asarray(self.labels[rows])

    def accuracy(self, weights, bias):
        return float(np.mean((self.test_features @ weights + bias).argmax(axis=1) == self.test_labels))


def report(name, version, seconds, startup_seconds, rounds, accuracy):
    """One line of JSON on stdout: what the TypeScript side reads."""
    row = {
        "contender": name,
        "version": version,
        "seconds": seconds,
        "startupSeconds": startup_seconds,
        "roundsPerSecond": rounds / seconds,
        "accuracy": accuracy,
    }
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


class Stopwatch:
    def __init__(self):
        self.started = time.perf_counter()

    def seconds(self):
        return time.perf_counter() - self.started
