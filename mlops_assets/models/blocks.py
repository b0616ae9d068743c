"""Predicting in whole blocks of rows, so that a row's prediction does not depend on the rows beside it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

ROWS_OF_BLOCK = 64


def in_blocks(predict: "Callable[[pd.DataFrame], Any]", frame: "pd.DataFrame") -> Any:
    """What a fit predicts for a frame of at least one row, the same for each row in whatever frame it stands.

    Linear algebra treats the rows that are left over of its blocks otherwise than the others: of 1,000 predictions of
    a ridge regression, 522 had another last bit when they were asked one by one. So the last block is filled up.

    Args:
        predict: ``predict`` or ``predict_proba`` of a fit; gives an array with a row for each of the frame's.
        frame: The features.
    """
    import numpy as np

    over = len(frame) % ROWS_OF_BLOCK
    if not over:
        return np.asarray(predict(frame))
    whole = len(frame) - over
    filled = frame.iloc[np.minimum(np.arange(whole, whole + ROWS_OF_BLOCK), len(frame) - 1)]
    last = np.asarray(predict(filled))[:over]
    return np.concatenate([predict(frame.iloc[:whole]), last]) if whole else last
