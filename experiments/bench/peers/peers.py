"""Sums the same integer vectors with TenSEAL and with Flower's SecAgg+, and says what it cost.

A child of peers-bench.ts: one JSON command per line on stdin, one JSON answer per line on the first stdout.
Every party of a system runs in this one process on one thread. Sums are written to files and judged by the
parent, not here.
Trusts: its parent; benchmarks only.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np
import tenseal as ts
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.client.mod import secaggplus_mod
from flwr.common import (
    Code,
    FitIns,
    FitRes,
    Parameters,
    Status,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.compat.common import recorddict_compat
from flwr.server import LegacyContext, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.server.workflow import SecAggPlusWorkflow
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD, Key
from flwr.serverapp.grid import Grid
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, no_object_id_recompute
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.task_identity import TaskIdentity

Answer = dict[str, Any]

# NVFlare's provisioning: nvflare/lighter/impl/he.py, HEBuilder.
POLY_DEGREE = 8192
COEFFICIENT_MODULUS_BITS = [60, 40, 40]
SCALE = 2.0**40
# A fresh ciphertext has two polynomials over all primes but the last one, 8 bytes per residue.
CIPHERTEXT_BYTES = 2 * (len(COEFFICIENT_MODULUS_BITS) - 1) * POLY_DEGREE * 8


def now_ms() -> float:
    """CPU time of this process, which has one busy thread and no input or output where it is timed.

    Elapsed time on a shared machine would charge these systems, whose steps are long, for being interrupted, and
    ours hardly ever. The parent takes elapsed time for ours, so that what is left of the bias is in their favour.
    """
    return time.process_time() * 1000


class TenSeal:
    """CKKS as NVFlare sets it up ('symmetric': every client has the one secret key) or with a public key."""

    def __init__(self, encryption: str) -> None:
        kind = ts.ENCRYPTION_TYPE.SYMMETRIC if encryption == "symmetric" else ts.ENCRYPTION_TYPE.ASYMMETRIC
        context = ts.context(
            ts.SCHEME_TYPE.CKKS,
            poly_modulus_degree=POLY_DEGREE,
            coeff_mod_bit_sizes=COEFFICIENT_MODULUS_BITS,
            encryption_type=kind,
            n_threads=1,
        )
        context.generate_relin_keys()
        context.global_scale = SCALE

        def kit(secret: bool, public: bool) -> ts.Context:
            keys = context.serialize(
                save_public_key=public,
                save_secret_key=secret,
                save_galois_keys=False,
                save_relin_keys=True,
            )
            return ts.context_from(keys, n_threads=1)

        self.opener = kit(secret=True, public=True)
        self.client = self.opener if encryption == "symmetric" else kit(secret=False, public=True)
        self.server = kit(secret=False, public=False)

    def run(self, vectors: np.ndarray) -> tuple[np.ndarray, Answer]:
        client_ms, sign_ms, server_ms, verify_ms, uploads = [], [], [], [], []
        key = Ed25519PrivateKey.generate()
        for vector in vectors:
            values = vector.astype(np.float64)
            started = now_ms()
            upload = ts.ckks_vector(self.client, values).serialize()
            sealed = now_ms()
            signature = key.sign(hashlib.sha256(upload).digest())
            sign_ms.append(now_ms() - sealed)
            client_ms.append(sealed - started)
            uploads.append((upload, signature))
        total = None
        for upload, signature in uploads:
            started = now_ms()
            key.public_key().verify(signature, hashlib.sha256(upload).digest())
            verified = now_ms()
            one = ts.ckks_vector_from(self.server, upload)
            if total is None:
                total = one  # the first upload is not added to anything: no sample
                continue
            total += one
            server_ms.append(now_ms() - verified)
            verify_ms.append(verified - started)
        release = total.serialize()
        started = now_ms()
        opened = ts.ckks_vector_from(self.opener, release).decrypt()
        open_ms = now_ms() - started
        slots = POLY_DEGREE // 2
        return np.asarray(opened), {
            "client_ms": client_ms,
            "server_ms": server_ms,
            # What Pulsefold does besides and TenSEAL leaves to others: SHA-256 of the upload and Ed25519.
            "sign_ms": sign_ms,
            "verify_ms": verify_ms,
            "open_ms": open_ms,
            "upload_bytes": len(uploads[0][0]),
            "uncompressed_bytes": -(-vectors.shape[1] // slots) * CIPHERTEXT_BYTES,
            "release_bytes": len(release),
        }


class Node:
    """One Flower client: its state and the update that its training would have returned."""

    def __init__(self, node_id: int, parameters: Parameters, weight: int) -> None:
        self.context = Context(run_id=1, node_id=node_id, node_config={}, state=RecordDict(), run_config={})
        self.result = FitRes(Status(Code.OK, ""), parameters, weight, {})
        self.train_ms = 0.0

    def train(self, message: Message, _: Context) -> Message:
        """Stands for training, so its time is taken off again."""
        started = now_ms()
        reply = Message(recorddict_compat.fitres_to_recorddict(self.result, True), reply_to=message)
        self.train_ms += now_ms() - started
        return reply


def pack(message: Message) -> dict[str, bytes]:
    """A message as Flower sends it: an object tree, deflated."""
    with no_object_id_recompute():
        message.metadata.__dict__["_message_id"] = message.object_id
        return {name: one.deflate() for name, one in get_all_nested_objects(message).items()}


def unpack(contents: dict[str, bytes]) -> Message:
    message = inflate_object_from_contents(list(contents)[-1], dict(contents))
    message.metadata.__dict__["_message_id"] = list(contents)[-1]
    return message


class MeasuringGrid(Grid):
    """Carries messages between the workflow and the nodes as bytes, with a clock on either side."""

    def __init__(self, nodes: dict[int, Node]) -> None:
        self.nodes = nodes
        self.client_ms = {node_id: 0.0 for node_id in nodes}
        self.upload_bytes: list[int] = []
        self.masked_bytes = 0
        self.stage = 0
        self.server_ms = [0.0]
        self.returned_ms = now_ms()

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        requests = [pack(message) for message in messages]
        self.server_ms[-1] += now_ms() - self.returned_ms
        replies = [self._visit(request) for request in requests]
        self.stage += 1
        self.returned_ms = now_ms()
        self.server_ms.append(0.0)
        return [unpack(reply) for reply in replies]

    def _visit(self, request: dict[str, bytes]) -> dict[str, bytes]:
        started = now_ms()
        message = unpack(request)
        node = self.nodes[message.metadata.dst_node_id]
        trained_ms = node.train_ms
        reply = pack(secaggplus_mod(message, node.context, node.train))
        spent = now_ms() - started - (node.train_ms - trained_ms)
        self.client_ms[message.metadata.dst_node_id] += spent
        size = sum(len(content) for content in reply.values())
        self.upload_bytes.append(size)
        if self.stage == 2:
            self.masked_bytes = size
        return reply

    # The rest of the interface; the workflow calls none of it.
    run = property(lambda self: None)  # type: ignore[assignment]

    def set_run(self, run: Any) -> None:
        raise NotImplementedError

    def create_message(self, *_: Any, **__: Any) -> Message:
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        return list(self.nodes)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        raise NotImplementedError

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        raise NotImplementedError


class Capture(FedAvg):
    """Sends every node an empty model and keeps what the workflow hands over: the mean of the updates."""

    def __init__(self, node_ids: Iterable[int]) -> None:
        super().__init__()
        self.node_ids = list(node_ids)
        self.mean: np.ndarray | None = None
        self.opened_ms = 0.0

    def configure_fit(self, server_round: int, parameters: Parameters, client_manager: Any) -> Any:
        proxies = [type("Proxy", (), {"node_id": node_id})() for node_id in self.node_ids]
        return [(proxy, FitIns(parameters, {})) for proxy in proxies]

    def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> Any:
        self.opened_ms = now_ms()
        if failures:
            raise RuntimeError(f"SecAgg+ had failures: {failures}")
        self.mean = parameters_to_ndarrays(results[0][1].parameters)[0]
        return None, {}


def run_flower(vectors: np.ndarray, shares: int, threshold: int) -> tuple[np.ndarray, Answer]:
    """One round of secaggplus_mod and SecAggPlusWorkflow with the workflow's default quantisation."""
    workflow = SecAggPlusWorkflow(num_shares=shares, reconstruction_threshold=threshold)
    # A power of two, so that the integers reach the clipping range without a rounding of their own.
    unit = 1.0
    while np.abs(vectors).max() * unit > workflow.clipping_range:
        unit /= 2
    weight = int(workflow.max_weight)
    nodes = {
        node_id: Node(node_id, ndarrays_to_parameters([(vector * unit).astype(np.float32)]), weight)
        for node_id, vector in enumerate(vectors, start=1)
    }
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1
    strategy = Capture(nodes)
    server = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={})
    context = LegacyContext(server, ServerConfig(1), strategy)
    context.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({Key.CURRENT_ROUND: 1})
    context.state.array_records[MAIN_PARAMS_RECORD] = ArrayRecord()
    grid = MeasuringGrid(nodes)
    workflow(grid, context)
    if strategy.mean is None:
        raise RuntimeError("SecAgg+ did not finish its round")
    count = len(vectors)
    return strategy.mean * count / unit, {
        "client_ms": list(grid.client_ms.values()),
        # Setup, share distribution and the masked sum; unmasking is what opens it.
        "server_ms": [sum(grid.server_ms[:4]) / count],
        "open_ms": strategy.opened_ms - grid.returned_ms,
        "upload_bytes": round(sum(grid.upload_bytes) / count),
        "masked_bytes": grid.masked_bytes,
        # Stochastic rounding is less than one step off per client.
        "tolerance": count * 2 * workflow.clipping_range / workflow.quantization_range / unit,
    }


def main() -> None:
    # Libraries print to stdout and stderr as they like: answers go through a descriptor of their own.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    vectors = np.zeros((0, 0), dtype=np.int32)
    tenseal: dict[str, TenSeal] = {}

    def contend(command: Answer) -> tuple[np.ndarray, Answer]:
        clients = [vectors[i % len(vectors)] for i in range(command["clients"])]
        if command["contender"] == "flower":
            return run_flower(np.stack(clients), command["shares"], command["threshold"])
        encryption = command["encryption"]
        if encryption not in tenseal:
            tenseal[encryption] = TenSeal(encryption)
        return tenseal[encryption].run(np.stack(clients))

    for line in sys.stdin:
        command = json.loads(line)
        if command["op"] == "versions":
            answer: Answer = {name: version(name) for name in ("tenseal", "flwr", "numpy")}
            answer["python"] = sys.version.split()[0]
        elif command["op"] == "load":
            vectors = np.fromfile(command["path"], dtype="<i4").reshape(-1, command["d"])
            answer = {}
        else:
            cpu, started = time.process_time(), time.perf_counter()
            opened, answer = contend(command)
            # Near 1 on an idle machine, above 1 only if something used a second thread.
            answer["cpu_share"] = (time.process_time() - cpu) / (time.perf_counter() - started)
            opened.astype("<f8").tofile(command["path"])
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
