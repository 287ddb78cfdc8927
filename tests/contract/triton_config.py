"""Read a config.pbtxt as Triton does; run by `test_triton_config.py` where its messages are installed.

Usage: triton_config.py CONFIG
"""

import sys
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2  # type: ignore[import-not-found]


def main(path: str) -> None:
    """Parse strictly: an unknown field or a wrong type is an error."""
    config = text_format.Parse(Path(path).read_text(), model_config_pb2.ModelConfig())
    assert config.backend == "onnxruntime"
    assert config.max_batch_size == 32
    assert [tensor.name for tensor in config.input] == ["waveform"]
    assert list(config.input[0].dims) == [-1]
    assert {tensor.name: list(tensor.dims) for tensor in config.output} == {
        "tags": [8],
        "attention": [-1],
        "localization": [-1, 8],
        "presence": [-1, 8],
    }
    assert {tensor.data_type for tensor in (*config.input, *config.output)} == {model_config_pb2.TYPE_FP32}
    assert config.output[0].label_filename == "labels.txt"
    assert config.WhichOneof("scheduling_choice") == "dynamic_batching"
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    assert parameters == {
        "intra_op_thread_count": "1",
        "inter_op_thread_count": "1",
        "cudnn_conv_algo_search": "1",
    }
    assert [warm_up.batch_size for warm_up in config.model_warmup] == [1, 32]
    assert all(list(warm_up.inputs["waveform"].dims) == [64_000] for warm_up in config.model_warmup)
    print("all checks passed")  # noqa: T201 - for the test that runs this


if __name__ == "__main__":
    main(sys.argv[1])
