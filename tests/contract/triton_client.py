"""What a user of tritonclient does; run by `test_tritonclient.py` with an interpreter that has it.

Usage: triton_client.py HOST:PORT MODEL
"""

import sys

import numpy as np
import tritonclient.http as triton  # type: ignore[import-not-found]


def main(address: str) -> None:
    """Talk to the server as the client's own examples do."""
    client = triton.InferenceServerClient(address)
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["name"] == "attloc"
    model = sys.argv[2]
    assert client.is_model_ready(model)
    assert not client.is_model_ready("another")
    metadata = client.get_model_metadata(model)
    assert [each["name"] for each in metadata["inputs"]] == ["waveform"]

    samples = (0.3 * np.sin(np.arange(2 * 8000) / 7)).astype(np.float32).reshape(2, 8000)
    answers = []
    for binary_in in (True, False):
        for binary_out in (True, False):
            waveform = triton.InferInput("waveform", list(samples.shape), "FP32")
            waveform.set_data_from_numpy(samples, binary_data=binary_in)
            names = ("tags", "attention", "localization", "presence")
            wanted = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in names]
            result = client.infer(model, [waveform], outputs=wanted, request_id="r-1")
            assert result.get_response()["id"] == "r-1"
            answers.append({name: result.as_numpy(name) for name in names})
    for answer in answers:
        assert answer["tags"].shape == (2, 8)
        assert answer["presence"].shape == (2, 30, 8)
        for name, tensor in answer.items():
            assert np.array_equal(tensor, answers[0][name]), name

    waveform = triton.InferInput("waveform", list(samples.shape), "FP32")
    waveform.set_data_from_numpy(samples)
    implicit = client.infer(model, [waveform], model_version=metadata["versions"][0])
    assert np.array_equal(implicit.as_numpy("tags"), answers[0]["tags"])
    pending = [client.async_infer(model, [waveform]) for _ in range(4)]
    assert all(np.array_equal(each.get_result().as_numpy("tags"), answers[0]["tags"]) for each in pending)

    short = triton.InferInput("waveform", [1, 10], "FP32")
    short.set_data_from_numpy(np.zeros((1, 10), np.float32))
    refusal = ""
    try:
        client.infer(model, [short])
    except triton.InferenceServerException as error:
        refusal = str(error)
    assert "10 samples" in refusal
    print("all checks passed")  # noqa: T201 - for the test that runs this


if __name__ == "__main__":
    main(sys.argv[1])
