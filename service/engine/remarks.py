"""What a user should know about a recording before trusting its tags."""

import math

from service.engine.audio import AudioFormat, Levels

_CLIPPED_SAMPLES = 10  # fewer happen in any loud recording
_QUIET_DB = -60.0


def remarks_on(form: AudioFormat, levels: Levels, model_rate: int) -> tuple[str, ...]:
    """Sentences on a recording that was decoded to its end; none for a good one.

    Args:
        form: of the recording as sent.
        levels: measured while it was decoded.
        model_rate: hertz.
    """
    remarks = []
    if levels.peak > 1.0:
        remarks.append(f"Samples reach {levels.peak:.3g} times full scale.")
    elif levels.clipped >= _CLIPPED_SAMPLES:
        remarks.append(f"Clipped: {levels.clipped} samples are at full scale.")
    if levels.mono_peak == 0.0:
        remarks.append("Digital silence: every sample is zero once the channels are mixed.")
    elif (loudest := 20 * math.log10(levels.mono_peak)) < _QUIET_DB:
        remarks.append(f"Almost silent: the loudest sample is at {loudest:.0f} dB of full scale.")
    if form.sample_rate < model_rate:
        remarks.append(
            f"Recorded at {form.sample_rate} Hz: nothing above {form.sample_rate // 2} Hz can be heard, "
            f"the model was trained on sound up to {model_rate // 2} Hz."
        )
    return tuple(remarks)
