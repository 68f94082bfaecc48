"""The workload on Flower's simulation engine (Ray), with the Message API and FedAvg as shipped.

Local training is plain numpy, which is faster here than a tensor library's calls: it favours Flower. The clock
that counts starts with the first round; what Ray needs to start is stated apart.
"""

import sys

import numpy as np
from workload import Stopwatch, Workload, report

directory = sys.argv[1]
cores = int(sys.argv[2])
started = Stopwatch()

import flwr  # noqa: E402
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict  # noqa: E402
from flwr.clientapp import ClientApp  # noqa: E402
from flwr.serverapp import Grid, ServerApp  # noqa: E402
from flwr.serverapp.strategy import FedAvg  # noqa: E402
from flwr.simulation import run_simulation  # noqa: E402

client_app = ClientApp()
server_app = ServerApp()
work = Workload(directory)


def softmax_sgd(weights, bias, features, labels, terms, generator):
    for _ in range(terms.epochs):
        order = generator.permutation(len(labels))
        for at in range(0, len(labels), terms.batch):
            rows = order[at : at + terms.batch]
            x = features[rows]
            logits = x @ weights + bias
            logits -= logits.max(axis=1, keepdims=True)
            p = np.exp(logits)
            p /= p.sum(axis=1, keepdims=True)
            p[np.arange(len(rows)), labels[rows]] -= 1
            p /= len(rows)
            weights -= terms.learning_rate * (x.T @ p)
            bias -= terms.learning_rate * p.sum(axis=0)
    return weights, bias


@client_app.train()
def train(message: Message, context: Context) -> Message:
    client = int(context.node_config["partition-id"])
    weights, bias = (np.array(a) for a in message.content["arrays"].to_numpy_ndarrays())
    features, labels = work.rows_of(client)
    weights, bias = softmax_sgd(
        weights, bias, features, labels, work, np.random.default_rng(client)
    )
    content = RecordDict(
        {
            "arrays": ArrayRecord([weights, bias]),
            "metrics": MetricRecord({"num-examples": len(labels)}),
        }
    )
    return Message(content=content, reply_to=message)


@server_app.main()
def main(grid: Grid, context: Context) -> None:
    startup = started.seconds()
    watch = Stopwatch()
    initial = [
        np.zeros((work.inputs, work.classes), np.float32),
        np.zeros(work.classes, np.float32),
    ]
    strategy = FedAvg(
        fraction_train=work.cohort / work.clients,
        fraction_evaluate=0.0,
        min_train_nodes=work.cohort,
        min_available_nodes=work.clients,
    )
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord(initial),
        num_rounds=work.rounds,
        train_config=ConfigRecord({}),
    )
    seconds = watch.seconds()
    weights, bias = result.arrays.to_numpy_ndarrays()
    report("flower", flwr.__version__, seconds, startup, work.rounds, work.accuracy(weights, bias))


run_simulation(
    server_app=server_app,
    client_app=client_app,
    num_supernodes=work.clients,
    backend_config={
        "init_args": {"num_cpus": cores, "include_dashboard": False, "logging_level": "ERROR"},
        "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
    },
)
