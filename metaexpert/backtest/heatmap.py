"""A table over two parameters in colours; the only module that needs plotly."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from .catalogue import CATALOGUE

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["heatmap"]


def heatmap(table: pd.DataFrame, metric: str) -> Any:
    """Draw `table`, values of a statistic over two parameters, as a plotly Figure; what is undefined stays blank.

    Raises:
        ConfigError: plotly is not installed.
    """
    try:
        plotly: Any = import_module("plotly.graph_objects")
    except ImportError as error:
        raise ConfigError("a heat map needs plotly: pip install 'metaexpert[plot]'") from error
    down, across = table.index, table.columns
    colours = plotly.Heatmap(
        x=[str(value) for value in across],
        y=[str(value) for value in down],
        z=table.to_numpy(dtype="float64"),
        colorscale="RdYlGn",
        colorbar={"title": {"text": metric}},
        hovertemplate=f"{across.name} %{{x}}<br>{down.name} %{{y}}<br>{metric} %{{z:.4g}}<extra></extra>",
    )
    figure = plotly.Figure(colours)
    figure.update_layout(title=CATALOGUE[metric].label)
    figure.update_xaxes(title=str(across.name), type="category")
    figure.update_yaxes(title=str(down.name), type="category")
    return figure
