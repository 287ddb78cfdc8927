"""Where the recordings behind the shipped weights come from, and on what terms."""

from typing import NamedTuple


class Licence(NamedTuple):
    """One origin of recordings; `used` says what for."""

    origin: str
    where: str
    terms: str
    used: str


TRAINING_RECORDINGS = (
    Licence(
        "speechocean762",
        "github.com/jimbozhang/speechocean762, Zhang et al. 2021",
        "README: free for commercial and non-commercial use",
        "c, f, m, room tones",
    ),
    Licence(
        "alphanumeric", "github.com/Sakshee5/alphanumeric-audio-dataset", "MIT", "f, m, pauses as backgrounds"
    ),
    Licence(
        "emodb",
        "github.com/sylaschacko/voice-emotion-analysis, copy of the Berlin database, Burkhardt et al. 2005",
        "none stated",
        "f, m",
    ),
    Licence(
        "kitchen20",
        "github.com/marc-moreaux/kitchen20",
        "repository Apache-2.0, rights of single clips unclear",
        "b, p, o, backgrounds",
    ),
    Licence("esc10", "github.com/karoldvl/ESC-10, K. J. Piczak 2015", "CC BY 3.0", "o, b"),
    Licence("klettres", "Debian klettres-data", "GPL-2+", "f, m"),
    Licence("ktuberling", "Debian ktuberling-data", "GPL-2+", "f"),
    Licence("tuxpaint-stamps", "Debian tuxpaint-stamps-default", "GPL-2", "f, m, o, p, b, v"),
    Licence("gcompris", "Debian gcompris-qt-data", "GPL-3+, CC BY 3.0 and others per file", "o, p, b, v"),
    Licence("ion-sound", "npm ion-sound", "MIT", "o, p, v"),
    Licence("kent-mak", "github.com/Kent-mak/2025-Spring-NYCU-AI-Capstone-Project-1", "none stated", "p"),
    Licence("presence-footsteps", "github.com/mpustovoi/Presence-Footsteps", "MIT", "p"),
    Licence("web-audio-samples", "github.com/GoogleChromeLabs/web-audio-samples", "Apache-2.0", "p, rooms"),
    Licence(
        "blanket",
        "github.com/rafaelmardojai/blanket, SOUNDS_LICENSING.md",
        "per sound: CC BY, CC BY 3.0, CC0, public domain",
        "b, backgrounds",
    ),
    Licence(
        "household-noise",
        "github.com/Timgrau/Projektarbeit-1",
        "README: CC0 or own recordings",
        "b, backgrounds",
    ),
    Licence(
        "speech-commands-noise, felixchenfy-noise",
        "github.com/felixchenfy/Speech-Commands-Classification-by-LSTM-PyTorch",
        "CC BY 4.0; MIT",
        "b",
    ),
    Licence(
        "speech-to-intent-benchmark",
        "github.com/Picovoice/speech-to-intent-benchmark",
        "Apache-2.0",
        "backgrounds",
    ),
    Licence("fillets-ng", "Debian fillets-ng-data-cs", "GPL-2", "v"),
    Licence("supertux", "Debian supertux-data", "GPL-3+, GPL-2+ or CC-BY-SA-3.0 per file", "v"),
    Licence("amazon-queen", "Debian flight-of-the-amazon-queen", "freeware, own licence", "v"),
    Licence(
        "urdu",
        "github.com/siddiquelatif/URDU-Dataset, Latif et al. 2018",
        "README: research purposes only; taken from broadcasts",
        "v",
    ),
    Licence(
        "open-movie",
        "github.com/parulj/ivideo, Big Buck Bunny, Blender Foundation",
        "CC BY 3.0",
        "v",
    ),
    Licence("dirha", "github.com/SHINE-FBK/DIRHA_English_wsj, DIRHA project, FBK", "none stated", "rooms"),
    Licence("audiomentations", "github.com/iver56/audiomentations", "MIT", "rooms"),
    Licence(
        "CHiME-Home labels",
        "Foster et al. 2015, Queen Mary University of London",
        "CC BY-NC-SA 3.0",
        "which tags occur together; no audio",
    ),
)
