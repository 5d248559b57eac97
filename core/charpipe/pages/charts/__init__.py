"""Charts as SVG: lines, bars, parallel coordinates, drawn in one way for pages and for files.

On a page they use its colors, scale to a phone, and are accessible to screen readers (`templates/charts.css`); as a
file (`document`) they have the same style within them.
"""

from charpipe.pages.charts.bars import Bar, bars
from charpipe.pages.charts.chart import Chart, chart
from charpipe.pages.charts.curves import Axes, Line, ReferenceLine
from charpipe.pages.charts.document import document
from charpipe.pages.charts.parallel import Axis, Row, parallel

__all__ = [
    "Axes",
    "Axis",
    "Bar",
    "Chart",
    "Line",
    "ReferenceLine",
    "Row",
    "bars",
    "chart",
    "document",
    "parallel",
]
