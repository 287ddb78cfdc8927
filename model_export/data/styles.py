"""Ways of mixing: every number of the mixture generator, one frozen value a style."""

from dataclasses import dataclass, field, replace
from typing import Literal

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class EventLaw:
    """How the events of one tag are cut.

    Attributes:
        duration_s: length of an excerpt, uniform in this interval.
        full_share: share of events that last the whole chunk.
        repeats: most events of this tag in a chunk; the number is uniform in 1..repeats.
        fill: go on with further excerpts of the same group until the length is reached.
        speed: playback speed, uniform in this interval; pitch follows.
    """

    duration_s: Interval
    full_share: float = 0.0
    repeats: int = 1
    fill: bool = False
    speed: Interval = (1.0, 1.0)


SPEECH = EventLaw((0.7, 3.0), repeats=2)
EVENTS: dict[str, EventLaw] = {
    "b": EventLaw((1.2, 4.0), full_share=0.5, fill=True),
    "c": SPEECH,
    "f": SPEECH,
    "m": SPEECH,
    "o": EventLaw((0.5, 3.0), repeats=2),
    "p": EventLaw((0.3, 2.5), repeats=3),
    "v": EventLaw((1.5, 4.0), full_share=0.6, fill=True, repeats=1),
}


def _varied(speech: Interval, other: Interval, repeats: int = 0) -> dict[str, EventLaw]:
    """`EVENTS` with playback speeds, and another number of repeats where one is given."""
    laws = {}
    for tag, law in EVENTS.items():
        speed = speech if tag in "cfm" else other
        count = repeats if repeats and not law.fill else law.repeats
        laws[tag] = EventLaw(law.duration_s, law.full_share, count, law.fill, speed)
    return laws


@dataclass(frozen=True, slots=True)
class MixingStyle:
    """One way of mixing. Levels are of the active part, decibels; frequencies hertz; shares in [0, 1].

    Attributes:
        name: as on the command line.
        silence_share: chunks with a background only.
        label_share: the share of chunks aimed at for each tag when label sets are drawn from the table.
        free_label_share: chunks whose labels are drawn without the table: a number uniform in
            1..`free_label_most`, then so many different tags.
        free_label_most: see above.
        events: how each tag's events are cut.
        hard_child_share: share of child speech taken from `c_hard` (11 to 12 years), raised in pitch.
        hard_child_speed: playback speed of those.
        raised_share: share of child speech, `c_hard` apart, that is a woman's, raised in pitch.
        raised_speed: playback speed of that.
        second_program_share: television chunks with two programme sounds at once (music under effects).
        rooms: which responses.
        dry_share: chunks without a room.
        background_db: level of the background, of full scale.
        busy_share: chunks with a background known to hold unlabelled sounds, at least `busy_snr_db` below.
        busy_snr_db: see above.
        second_background_share: chunks with two backgrounds.
        snr_law: law of the loudest source's level over the background.
        snr_db: interval of the uniform law, or mean and standard deviation of the normal one, cut to 0..30.
        spread_db: other sources lie up to so much below the loudest, but not under `least_snr_db`.
        least_snr_db: see above.
        gain_db: standard deviation of the whole chunk's gain.
        equalizer: family of the random responses of sources and microphone: a smooth curve, or a few peaks.
        source_eq_db: standard deviation of each source's own response.
        source_lowpass_share: sources, speech included, that lose their upper bands.
        microphone_eq_db: standard deviation of the chunk's response.
        microphone_highpass: cut-off interval.
        microphone_lowpass: cut-off interval, in `microphone_lowpass_share` of chunks.
        loudspeaker_highpass: cut-off interval of the band-pass that television goes through.
        loudspeaker_lowpass: cut-off interval of it.
        loudspeaker_drive_share: television events with a soft non-linearity.
        device_noise_db: white noise of the recording device, over the background.
        clip_share: chunks clipped by up to 10 dB.
        coarse_share: chunks quantized to 8 to 11 bits of their peak.
    """

    name: str
    silence_share: float = 0.07
    label_share: float = 0.30
    free_label_share: float = 0.0
    free_label_most: int = 4
    events: dict[str, EventLaw] = field(default_factory=lambda: dict(EVENTS))
    hard_child_share: float = 0.0
    hard_child_speed: Interval = (1.08, 1.18)
    raised_share: float = 0.0
    raised_speed: Interval = (1.2, 1.4)
    second_program_share: float = 0.2
    rooms: Literal["simulated", "measured", "any"] = "any"
    dry_share: float = 0.0
    background_db: Interval = (-62.0, -50.0)
    busy_share: float = 0.05
    busy_snr_db: float = 12.0
    second_background_share: float = 0.0
    snr_law: Literal["uniform", "normal"] = "uniform"
    snr_db: Interval = (12.0, 28.0)
    spread_db: float = 8.0
    least_snr_db: float = 6.0
    gain_db: float = 3.0
    equalizer: Literal["smooth", "peaks"] = "smooth"
    source_eq_db: float = 1.0
    source_lowpass_share: float = 0.0
    microphone_eq_db: float = 1.0
    microphone_highpass: Interval = (20.0, 60.0)
    microphone_lowpass: Interval = (6000.0, 8000.0)
    microphone_lowpass_share: float = 0.0
    loudspeaker_highpass: Interval = (120.0, 250.0)
    loudspeaker_lowpass: Interval = (4500.0, 7000.0)
    loudspeaker_drive_share: float = 0.0
    device_noise_db: Interval = (-30.0, -15.0)
    clip_share: float = 0.0
    coarse_share: float = 0.0


STANDARD = MixingStyle("standard")

HARD = MixingStyle(
    "hard",
    free_label_share=0.5,
    events=_varied(speech=(0.94, 1.06), other=(0.8, 1.25)),
    hard_child_share=0.12,
    second_program_share=0.35,
    dry_share=0.08,
    background_db=(-68.0, -38.0),
    busy_share=0.08,
    second_background_share=0.3,
    snr_db=(0.0, 30.0),
    spread_db=12.0,
    least_snr_db=0.0,
    gain_db=6.0,
    source_eq_db=4.0,
    source_lowpass_share=0.3,
    microphone_eq_db=5.0,
    microphone_highpass=(20.0, 200.0),
    microphone_lowpass=(3400.0, 8000.0),
    microphone_lowpass_share=0.35,
    loudspeaker_highpass=(60.0, 450.0),
    loudspeaker_lowpass=(2800.0, 7500.0),
    loudspeaker_drive_share=0.3,
    device_noise_db=(-30.0, -3.0),
    clip_share=0.06,
    coarse_share=0.08,
)

VOICES = replace(HARD, name="voices", raised_share=0.5)
"""For training only: its children are of several microphones and ways to speak, where a corpus has one."""

SHIFTED = MixingStyle(
    "shifted",
    silence_share=0.1,
    free_label_share=1.0,
    free_label_most=3,
    events=_varied(speech=(1.0, 1.0), other=(1.0, 1.0), repeats=4),
    second_program_share=0.5,
    rooms="measured",
    background_db=(-66.0, -46.0),
    busy_share=0.0,
    snr_law="normal",
    snr_db=(14.0, 7.0),
    spread_db=10.0,
    least_snr_db=3.0,
    gain_db=8.0,
    equalizer="peaks",
    source_eq_db=3.0,
    microphone_eq_db=6.0,
    microphone_highpass=(60.0, 120.0),
    microphone_lowpass=(5000.0, 7000.0),
    microphone_lowpass_share=0.5,
    loudspeaker_highpass=(200.0, 350.0),
    loudspeaker_lowpass=(3500.0, 5500.0),
    device_noise_db=(-20.0, -8.0),
)
"""For validation only: what training never hears is the measure of what it will do elsewhere."""

STYLES = {style.name: style for style in (STANDARD, HARD, VOICES, SHIFTED)}
