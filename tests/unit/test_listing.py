"""Market lists on disk."""

import gzip
import json

import pytest

from metaexpert.errors import DataError
from metaexpert.exchanges import listing
from metaexpert.exchanges.venues import Segment


def raw(symbol="BTC/USDT", **more):
    return {
        "id": symbol.replace("/", ""), "symbol": symbol, "base": symbol.split("/")[0], "quote": "USDT",
        "type": "spot", "precision": {"amount": 0.001, "price": 0.1}, "limits": {}, "info": {"a": 1},
    } | more  # fmt: skip


def test_what_is_kept_is_read_back(home):
    kept = listing.save("binance", Segment.SPOT, [raw(), raw("ETH/USDT")], 1_700_000_000_000)
    assert [market.symbol for market in kept.markets] == ["BTC/USDT", "ETH/USDT"]
    assert listing.load("binance", Segment.SPOT) == kept
    assert listing.load_raw("binance", Segment.SPOT) == [raw(), raw("ETH/USDT")]
    assert kept.age(1_700_000_060_000) == 60_000
    assert sorted(path.name for path in (home / "markets").iterdir()) == [
        "binance-spot.json",
        "binance-spot.raw.json.gz",
    ]


def test_segments_and_exchanges_are_kept_apart():
    listing.save("binance", Segment.SPOT, [raw()], 1)
    assert listing.load("binance", Segment.LINEAR) is None
    assert listing.load("bybit", Segment.SPOT) is None
    assert listing.load_raw("bybit", Segment.SPOT) is None


def test_what_can_not_be_traded_is_left_out_and_named():
    kept = listing.save(
        "binance", Segment.SPOT, [raw(), raw("X/USDT", precision={}), raw("Y/USDT", active=False)], 1
    )
    assert [market.symbol for market in kept.markets] == ["BTC/USDT"]
    assert list(kept.left_out) == ["X/USDT"]
    assert listing.load("binance", Segment.SPOT) == kept


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"markets": [{}], "fetched": 1, "left_out": {}}', '{"fetched": 1}']
)
def test_a_damaged_list_counts_as_none_and_is_named(home, caplog, text):
    listing.save("binance", Segment.SPOT, [raw()], 1)
    (home / "markets" / "binance-spot.json").write_text(text)
    (home / "markets" / "binance-spot.raw.json.gz").write_bytes(b"\x1f\x8b broken")
    assert listing.load("binance", Segment.SPOT) is None
    assert f"{home / 'markets' / 'binance-spot.json'} is damaged" in caplog.text
    assert listing.load_raw("binance", Segment.SPOT) is None


@pytest.mark.parametrize("at", range(0, 600, 20))
def test_no_flipped_byte_of_a_list_breaks_more_than_the_list(home, at):
    listing.save("binance", Segment.SPOT, [raw()], 1)
    for name, load in (("json", listing.load), ("raw.json.gz", listing.load_raw)):
        path = home / "markets" / f"binance-spot.{name}"
        whole = bytearray(path.read_bytes())
        whole[at % len(whole)] ^= 0x15
        path.write_bytes(whole)
        load("binance", Segment.SPOT)


@pytest.mark.parametrize("text", ["{}", "[1]", '["x"]', '[{"id": "a"}]', "null", '{"a": {}}'])
def test_what_ccxt_could_not_take_counts_as_no_list(home, text):
    listing.save("binance", Segment.SPOT, [raw()], 1)
    path = home / "markets" / "binance-spot.raw.json.gz"
    path.write_bytes(gzip.compress(text.encode()))
    assert not listing.load_raw("binance", Segment.SPOT)


def test_a_folder_that_can_not_be_written_is_named(tmp_path):
    (tmp_path / "markets").write_text("a file in the way")
    with pytest.raises(DataError, match="can't write"):
        listing.save("binance", Segment.SPOT, [raw()], 1, tmp_path)


def test_the_light_file_holds_no_answer_of_the_exchange(home):
    listing.save("binance", Segment.SPOT, [raw()], 1)
    assert "info" not in json.loads((home / "markets" / "binance-spot.json").read_text())["markets"][0]
