"""The expression vocabulary: one spelling, one order, one colour per label.

The order is that of FER+ (Barsoum et al. 2016). Every probability row in mien has its columns in
this order; FER2013's seven classes are the same list without ``contempt``. Other data sets number
and spell the same words differently, so labels are always mapped by name, never by number.
"""

from mien.errors import UsageError

EIGHT: tuple[str, ...] = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
)
SEVEN: tuple[str, ...] = EIGHT[:7]

#: Label sets by the name that selects them, as in ``classifier(crops, labels="fer2013")``.
LABEL_SETS: dict[str, tuple[str, ...]] = {"ferplus": EIGHT, "fer2013": SEVEN}

#: What the numbers 0-6 in FER2013's files mean.
FER2013_CODES: tuple[str, ...] = (
    "anger",
    "disgust",
    "fear",
    "happiness",
    "sadness",
    "surprise",
    "neutral",
)

ALIASES: dict[str, str] = {
    "angry": "anger",
    "contemptuous": "contempt",
    "disgusted": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "scared": "fear",
    "happy": "happiness",
    "joy": "happiness",
    "sad": "sadness",
    "surprised": "surprise",
    "calm": "neutral",
}

#: One colour per label (RGB hex), told apart under the common forms of colour blindness:
#: the eight of Okabe & Ito (2008), grey in the place of black.
COLOURS: dict[str, str] = {
    "neutral": "#7f7f7f",
    "happiness": "#e69f00",
    "surprise": "#f0e442",
    "sadness": "#0072b2",
    "anger": "#d55e00",
    "disgust": "#009e73",
    "fear": "#cc79a7",
    "contempt": "#56b4e9",
}


#: Valence and arousal of each label, -1 to 1: the mean pleasure and arousal by which people rated
#: the words happy, surprised, sad, angry, disgusted, fearful and contempt. They are 7 of the 151
#: terms of the table, from transcriptions of it that agree; that of contempt was found once only.
#: Neutral is none of the terms: it is put in the middle.
CIRCUMPLEX: dict[str, tuple[float, float]] = {
    "neutral": (0.0, 0.0),
    "happiness": (0.81, 0.51),
    "surprise": (0.40, 0.67),
    "sadness": (-0.63, -0.27),
    "anger": (-0.51, 0.59),
    "disgust": (-0.60, 0.35),
    "fear": (-0.64, 0.60),
    "contempt": (-0.23, 0.31),
}
CIRCUMPLEX_SOURCE = "Russell & Mehrabian 1977, doi:10.1016/0092-6566(77)90037-X"


def canonical(name: str) -> str:
    """Return the canonical spelling of an expression's name.

    Case and surrounding spaces do not matter, and common synonyms are understood.

    >>> canonical(" Happy ")
    'happiness'
    """
    word = name.strip().lower()
    word = ALIASES.get(word, word)
    if word not in EIGHT:
        raise UsageError(f"{name!r} is not an expression mien knows. Known: {', '.join(EIGHT)}.")
    return word
