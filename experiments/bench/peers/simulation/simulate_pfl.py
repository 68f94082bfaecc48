"""The workload on pfl-research's SimulatedBackend with PyTorch, one process, no evaluation between rounds.

Data is turned into tensors once, before the clock starts, as its own benchmarks do (`numpy_to_tensor`).
"""

import contextlib
import os
import sys

from workload import Stopwatch, Workload, report

directory = sys.argv[1]
cores = int(sys.argv[2])
started = Stopwatch()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from importlib.metadata import version  # noqa: E402
from pfl.aggregate.simulate import SimulatedBackend  # noqa: E402
from pfl.aggregate.weighting import WeightByDatapoints  # noqa: E402
from pfl.algorithm.base import NNAlgorithmParams  # noqa: E402
from pfl.algorithm.federated_averaging import FederatedAveraging  # noqa: E402
from pfl.data import FederatedDataset  # noqa: E402
from pfl.data.sampling import get_user_sampler  # noqa: E402
from pfl.hyperparam import NNEvalHyperParams, NNTrainHyperParams  # noqa: E402
from pfl.internal.ops.pytorch_ops import to_tensor  # noqa: E402
from pfl.metrics import Weighted  # noqa: E402
from pfl.model.pytorch import PyTorchModel  # noqa: E402

torch.set_num_threads(cores)
work = Workload(directory)
torch.manual_seed(work.seed)
np.random.seed(work.seed)


class Softmax(torch.nn.Linear):
    def __init__(self):
        super().__init__(work.inputs, work.classes)
        torch.nn.init.zeros_(self.weight)
        torch.nn.init.zeros_(self.bias)

    def loss(self, features, labels, eval=False):
        self.eval() if eval else self.train()
        return torch.nn.functional.cross_entropy(self(features), labels.long())

    @torch.no_grad()
    def metrics(self, features, labels, eval=True):
        return {"loss": Weighted(self.loss(features, labels, True).item(), 1)}


def tensors_of(client):
    features, labels = work.rows_of(client)
    return [to_tensor(features), to_tensor(labels.astype(np.int64))]


users = {client: tensors_of(client) for client in range(work.clients)}
training = FederatedDataset.from_slices(users, get_user_sampler("random", list(users)))
network = Softmax()
model = PyTorchModel(
    network,
    local_optimizer_create=torch.optim.SGD,
    central_optimizer=torch.optim.SGD(network.parameters(), 1.0),
)
backend = SimulatedBackend(
    training_data=training, val_data=training, postprocessors=[WeightByDatapoints()]
)
startup = started.seconds()
watch = Stopwatch()
# It prints every metric of every round; that must not end up in the report.
with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
    model = FederatedAveraging().run(
        algorithm_params=NNAlgorithmParams(
            central_num_iterations=work.rounds,
            evaluation_frequency=work.rounds + 1,
            train_cohort_size=work.cohort,
            val_cohort_size=0,
        ),
        backend=backend,
        model=model,
        model_train_params=NNTrainHyperParams(
            local_num_epochs=work.epochs,
            local_learning_rate=work.learning_rate,
            local_batch_size=work.batch,
        ),
        model_eval_params=NNEvalHyperParams(local_batch_size=10_000),
        callbacks=[],
    )
seconds = watch.seconds()
weights = network.weight.detach().cpu().numpy().T
bias = network.bias.detach().cpu().numpy()
report("pfl-research", version("pfl"), seconds, startup, work.rounds, work.accuracy(weights, bias))
