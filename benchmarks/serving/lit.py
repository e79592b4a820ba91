"""The same model behind LitServe: `python -m benchmarks.serving.lit <verb> <port> <max_batch_size> <batch_timeout>`.

LitServe looks at the annotations of `decode_request`, so that here they are not put off.
"""

import sys
from collections.abc import Sequence
from typing import Any

import litserve
import torch
from fastapi import Request, Response
from typing_extensions import override

from benchmarks.serving import passes, works
from rwae_core.media.clip import VideoClip
from rwae_core.media.limits import MediaLimits
from rwae_core.media.pool import MediaPool
from rwae_core.weights import load_weights
from service.verbs.video import Encoded, Generated


class _Api(litserve.LitAPI):  # type: ignore[misc] # untyped
    @override
    def setup(self, device: str) -> None:
        torch.set_num_threads(1)
        self.network, _ = load_weights(works.WEIGHTS / works.MODEL, torch.device(device))
        self.pool = MediaPool(2, MediaLimits())

    @override
    def batch(self, inputs: Sequence[Any]) -> list[Any]:
        return list(inputs)  # clips may have any length: the verbs put them together

    @override
    def unbatch(self, output: list[Any]) -> list[Any]:
        return output


class EncodeApi(_Api):
    """`/encode`."""

    @override
    def decode_request(self, request: Request) -> VideoClip:
        file = request["file"].file
        file.seek(0)
        return works.read(self.pool, file.read())

    @override
    def predict(self, x: Any) -> Any:
        clips = x if isinstance(x, list) else [x]
        answers = list(zip(clips, passes.encode(self.network, [clip.frames for clip in clips]), strict=True))
        return answers if isinstance(x, list) else answers[0]

    @override
    def encode_response(self, output: tuple[VideoClip, Encoded]) -> Response:
        return Response(works.encoding(*output), media_type="application/json")


class GenerateApi(_Api):
    """`/generate`."""

    @override
    def decode_request(self, request: Request) -> int:
        return int(request["seed"])

    @override
    def predict(self, x: Any) -> Any:
        seeds = x if isinstance(x, list) else [x]
        answers = list(zip(seeds, passes.generate(self.network, seeds, works.FRAMES), strict=True))
        return answers if isinstance(x, list) else answers[0]

    @override
    def encode_response(self, output: tuple[int, Generated]) -> Response:
        return Response(works.items(*output), media_type="application/json")


def main(verb: str, port: str, max_batch_size: str, batch_timeout: str) -> None:
    """Serves one verb."""
    api = {"encode": EncodeApi, "generate": GenerateApi}[verb]
    served = api(max_batch_size=int(max_batch_size), batch_timeout=float(batch_timeout), api_path=f"/{verb}")
    litserve.LitServer(served, accelerator="cpu", workers_per_device=1, timeout=60).run(
        host="127.0.0.1", port=int(port), num_api_servers=1, log_level="warning", generate_client_file=False
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
