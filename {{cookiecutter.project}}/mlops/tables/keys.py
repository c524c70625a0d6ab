"""Writes the keys of rows as text, the same from every kind of file and in every program that reads them."""

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from mlops.tables.errors import SourceError

EXACT = {pa.float16(): 2.0**11, pa.float32(): 2.0**24, pa.float64(): 2.0**53}
"""The number up to which a float type holds every whole number, so that two keys never become one."""

END_ZEROS = r"(?:\.0+|(\.\d*[1-9])0+)(Z|[+-]\d{4})?$"
"""The fraction of a second that ends in zeros, and the time zone."""


def can_be_key(kind: pa.DataType) -> bool:
    """Returns whether cells of this type can be keys."""
    if types.is_dictionary(kind):
        return can_be_key(kind.value_type)
    return any(
        fits(kind)
        for fits in (
            *(types.is_string, types.is_large_string, types.is_string_view, types.is_integer),
            *(
                types.is_floating,
                types.is_decimal,
                types.is_date,
                types.is_timestamp,
                types.is_null,
            ),
        )
    )


def key_texts(cells: pa.Array, file: str, column: str) -> pa.Array:
    """Returns keys as text without spaces around them, null where a key is missing. Whole numbers that are
    stored as floats, as pandas does if one is missing, are written without a point, and times without zeros
    at the end of a second's fraction, of which files of other units store more. Raises SourceError for floats
    that are too large to be told from their neighbours."""
    if types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if types.is_floating(cells.type):
        cells = float_texts(cells, file, column)
    texts = pc.utf8_trim_whitespace(cells.cast(pa.string()))
    if types.is_timestamp(cells.type):
        texts = pc.replace_substring_regex(texts, END_ZEROS, r"\1\2")
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def float_texts(cells: pa.Array, file: str, column: str) -> pa.Array:
    exact = EXACT[cells.type]
    values = cells.cast(pa.float64())
    values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    if pc.any(pc.greater(pc.abs(values), exact)).as_py():
        raise SourceError(
            f"{file}: column {column!r} holds floats above {exact:,.0f}, which can't be told from their "
            "neighbours: store the keys as text or as whole numbers"
        )
    is_whole = pc.equal(values, pc.floor(values))
    whole = pc.if_else(is_whole, values, pa.scalar(None, pa.float64())).cast(pa.int64())
    return pc.coalesce(whole.cast(pa.string()), values.cast(pa.string()))
