"""The seven tags of CHiME-Home (Table 1 of the paper) and the silence class trained beside them."""

from service.engine.card import Label

CHIME_HOME = (
    Label("b", "broadband noise"),
    Label("c", "child speech"),
    Label("f", "adult female speech"),
    Label("m", "adult male speech"),
    Label("o", "other identifiable sounds"),
    Label("p", "percussive sounds"),
    Label("v", "TV and video game sounds"),
    # Trained as an eighth output, as the authors' script did, and never scored.
    Label("S", "silence or background only", scored=False),
)
SILENCE = "S"
TAGS = tuple(label.code for label in CHIME_HOME if label.scored)
