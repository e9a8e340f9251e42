"""The colours of the three models, the same in every table, curve and picture."""

from __future__ import annotations

COLOURS = {"truth": "#009E73", "teacher": "#0072B2", "control": "#E69F00", "student": "#D55E00"}
"""Four hues of the Okabe-Ito palette, which people with any colour vision can tell apart."""
LABEL_INK = {"truth": "black", "teacher": "white", "control": "black", "student": "black"}
"""What is readable on these colours."""
LINE_STYLES = {"teacher": "--", "control": ":", "student": "-"}
"""A second mark beside the colour, for print in grey."""
INK = "#1f2329"
"""What is drawn beside the models' colours: intervals and means."""
