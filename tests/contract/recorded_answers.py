"""What the recorded answers come to in our models: the fields that are not their defaults.

Read off the exchanges' own fields, by exchange, CCXT's method, and place in the file. ``"accepted: ID"`` is an
order of which the exchange tells no more than its id.
"""

from typing import Any

__all__ = ["EXPECTED", "REFUSED"]

REFUSED = {
    ("bybit", "createOrder", 2): "answered without its id",  # a change of a position's stops: there is no order
    ("bitget", "editOrder", 0): "answered without its id",
    ("bitget", "fetchPosition", 0): "size of a position None",  # an empty answer, of which CCXT makes a position
    ("bitget", "fetchBalance", 0): "what is free of USDT",  # of borrowed money, which we never ask for
}

# fmt: off
EXPECTED: dict[tuple[str, str, int], Any] = {
    ("binance", "fetchTickers", 0):
        [{"time": 1753789176708, "symbol": "BTC/USDT", "bid": None, "ask": None, "last": 118390.44}, {"time":
        1753789176708, "symbol": "ETH/USDT", "bid": None, "ask": None, "last": 3820.06}],
    ("binance", "createOrder", 0):
        {"id": "x-R4BD3S824d31be3228a348eaa0a303", "symbol": "SOL/USDT", "side": "buy", "type": "limit", "qty":
        0.05, "price": 241.0, "status": "open", "created": 1737635557417, "updated": 1737635557417,
        "exchange_id": "9780331417"},
    ("binance", "createOrders", 0):
        [{"id": "x-xcKtGhcu04075babaeb34c55af79ba", "symbol": "BTC/USDT:USDT", "side": "sell", "type": "limit",
        "qty": 0.2, "price": 110001.0, "status": "open", "created": 1739781831932, "updated": 1739781831932,
        "exchange_id": "4087922044"}],
    ("binance", "fetchOrder", 0):
        {"id": "x-R4BD3S825806ed40c861260428a48c", "symbol": "LTC/USDT", "side": "sell", "type": "market",
        "qty": 0.1, "status": "filled", "filled": 0.1, "average_price": 90.8, "created": 1679571174472,
        "updated": 1679571174472, "exchange_id": "3397148653"},
    ("binance", "fetchOpenOrders", 0):
        [{"id": "x-R4BD3S82102a551f8c1642bba06728", "symbol": "LTC/USDT", "side": "buy", "type": "limit", "qty":
        0.2, "price": 50.0, "status": "open", "post_only": True, "created": 1699380855570, "updated":
        1699380855570, "exchange_id": "3811057334"}],
    ("binance", "fetchOpenOrder", 0):
        {"id": "x-xcKtGhcu68f8383451844295b3e8b9", "symbol": "LTC/USDT:USDT", "side": "buy", "type": "limit",
        "qty": 0.2, "price": 50.0, "status": "open", "post_only": True, "created": 1707907323983, "updated":
        1707907323991, "exchange_id": "664082074"},
    ("binance", "fetchPositions", 0):
        [{"symbol": "BTC/USDT:USDT", "qty": 0.009, "entry_price": 67445.9, "mark_price": 67502.68519858,
        "unrealized_pnl": 0.51106678, "margin": 7.59405208, "leverage": 80.0, "liquidation_price":
        64846.9875379, "margin_mode": "cross"}],
    ("binance", "fetchPositions", 1):
        [{"symbol": "BTC/USD:BTC", "qty": -300.0, "entry_price": 68911.00000037, "mark_price": 68234.2,
        "unrealized_pnl": 4.318e-05, "margin": 0.00021983, "leverage": 20.0, "liquidation_price":
        72491.16879818, "margin_mode": "cross"}],
    ("binance", "fetchMyTrades", 0):
        [{"id": "309520010", "time": 1698138992358, "symbol": "LTC/USDT", "order_id": "3784695242", "side":
        "sell", "qty": 0.2, "price": 69.63, "fee": 0.013926, "fee_currency": "USDT"}],
    ("binance", "fetchBalance", 0):
        {"ETH": (0.02229833, 0.0, 0.02229833), "LTC": (0.919741, 0.0, 0.919741)},
    ("binance", "fetchBalance", 1):
        {"USDT": (105.43419058, 0.0, 105.43419058)},
    ("binance", "fetchOHLCV", 0):
        [(1706630400000, 43519.34, 43936.0, 43171.0, 43488.71, 20.55495), (1706634000000, 43488.71, 43832.08,
        43084.0, 43374.8, 21.80865), (1706637600000, 43374.81, 44048.0, 43062.0, 43361.11, 23.66547)],
    ("binance", "fetchOrderBook", 0):
        {"time": 0, "symbol": "BTC/USDT", "bids": ((42574.3, 0.0107), (42574.2, 0.00646)), "asks": ((42574.31,
        0.0087), (42574.8, 0.00893))},
    ("binance", "fetchOrders", 0):
        [{"id": "x-xcKtGhcud2deca88ac9f4ccb9485a9", "symbol": "BTC/USDT:USDT", "side": "buy", "type": "market",
        "qty": 0.01, "status": "filled", "filled": 0.01, "average_price": 47279.4, "position_side": "long",
        "created": 1707550415587, "updated": 1707550415587, "exchange_id": "262065925771"}],
    ("binance", "fetchTrades", 0):
        [(1710327661939, 73238.7, 0.00109, 1)],
    ("binance", "fetchTicker", 0):
        {"time": 1710328245391, "symbol": "BTC/USDT", "bid": 73369.83, "ask": 73369.84, "last": 73369.84},
    ("binance", "fetchAllGreeks", 0):
        [],
    ("bybit", "fetchFundingRateHistory", 0):
        [(1769533200000, -0.00017947), (1769536800000, -0.00014161), (1769540400000, -0.00010131)],
    ("bybit", "editOrder", 0):
        "accepted: 2088690093937486080",
    ("bybit", "createMarketBuyOrderWithCost", 0):
        "accepted: 1971981115648733696",
    ("bybit", "fetchBalance", 0):
        {"ADA": (38.68128, 0.0, 38.68128), "BTC": (0.85581394, 0.0, 0.85581394), "ETH": (0.09174816, 0.0,
        0.09174816), "LTC": (0.02101953, 0.0, 0.02101953), "USDC": (5845.35392906, 3.18541012, 5848.53933918),
        "USDT": (3211.67935465, 92.61831144, 3304.29766609), "XRP": (38.28099313, 0.19805874, 38.47905187)},
    ("bybit", "createOrder", 0):
        "accepted: 8bec532a-36b1-437e-93f4-1b03bf449456",
    ("bybit", "createOrder", 1):
        "accepted: e1aa1808-3d9a-40fa-ab1e-d5c3d5233599",
    ("bybit", "createOrder", 3):
        "accepted: 1609920528435648000",
    ("bybit", "fetchOrder", 0):
        {"id": "1609602210852247041", "symbol": "BTC/USDT", "side": "buy", "type": "market", "qty": 0.001614,
        "status": "filled", "filled": 0.001614, "average_price": 30966.41, "created": 1706615536016, "updated":
        1706615536019, "exchange_id": "1609602210852247040"},
    ("bybit", "fetchOpenOrder", 0):
        {"id": "3606515b-e4d7-4ea4-b096-bb247d0661ae", "symbol": "BTC/USDT:USDT", "side": "buy", "type":
        "limit", "qty": 0.001, "price": 102000.0, "status": "open", "created": 1758189775648, "updated":
        1758189775651, "exchange_id": "3606515b-e4d7-4ea4-b096-bb247d0661ae"},
    ("bybit", "fetchClosedOrder", 0):
        {"id": "aee7453a-a100-465f-857a-3db780e9329a", "symbol": "BTC/USDT:USDT", "side": "buy", "type":
        "market", "qty": 0.001, "status": "filled", "filled": 0.001, "average_price": 123498.0, "fee":
        0.0679239, "created": 1757837580469, "updated": 1757837580473, "exchange_id":
        "aee7453a-a100-465f-857a-3db780e9329a"},
    ("bybit", "fetchClosedOrders", 0):
        [{"id": "aee7453a-a100-465f-857a-3db780e9329a", "symbol": "BTC/USDT:USDT", "side": "buy", "type":
        "market", "qty": 0.001, "status": "filled", "filled": 0.001, "average_price": 123498.0, "fee":
        0.0679239, "created": 1757837580469, "updated": 1757837580473, "exchange_id":
        "aee7453a-a100-465f-857a-3db780e9329a"}, {"id": "f5f2d355-9a11-4af3-9b83-aa1d6ab6ddfe", "symbol":
        "BTC/USDT:USDT", "side": "sell", "type": "market", "qty": 0.001, "status": "filled", "filled": 0.001,
        "average_price": 122529.9, "fee": 0.06739145, "reduce_only": True, "created": 1757837618905, "updated":
        1757837618909, "exchange_id": "f5f2d355-9a11-4af3-9b83-aa1d6ab6ddfe"}],
    ("bybit", "fetchPositions", 0):
        [{"symbol": "TRIA/USDT:USDT", "qty": -11710.0, "entry_price": 0.01961459, "mark_price": 0.017203,
        "unrealized_pnl": 28.23968, "margin": 101.1025483, "leverage": 2.0, "liquidation_price": 0.04102339,
        "stop_loss": 0.024012}],
    ("bybit", "fetchPosition", 0):
        [],
    ("bybit", "fetchMyTrades", 0):
        [{"id": "2100000000047087120", "time": 1699612608878, "symbol": "BTC/USDT", "order_id":
        "1550857400238740992", "side": "buy", "qty": 0.000336, "price": 29708.7, "fee": 3.36e-07,
        "fee_currency": "BTC"}],
    ("bybit", "fetchMyTrades", 1):
        [{"id": "751c8dba-bdeb-5d0c-9dd3-dda6bf98cdaf", "time": 1710762918390, "symbol": "LTC/USDT:USDT",
        "order_id": "c18b72e4-1bf7-4c30-9b99-ba3274066029", "side": "buy", "qty": 0.1, "price": 85.11, "fee":
        0.00468105, "fee_currency": "USDT"}],
    ("bybit", "fetchOHLCV", 0):
        [(1706630400000, 43350.7, 43492.5, 43204.5, 43488.0, 1341.261), (1706634000000, 43488.0, 43579.5,
        43286.8, 43376.1, 3199.431), (1706637600000, 43376.1, 43474.1, 43264.8, 43352.8, 1575.305)],
    ("bybit", "fetchOrderBook", 0):
        {"time": 1706803948569, "symbol": "BTC/USDT:USDT", "bids": ((42544.7, 172.404), (42544.5, 88.856)),
        "asks": ((42548.0, 108.998), (42548.2, 75.008))},
    ("bybit", "fetchTrades", 0):
        [(1707905515968, 51444.4, 0.972, 1)],
    ("bybit", "fetchTicker", 0):
        {"time": 0, "symbol": "BTC/USDT:USDT", "bid": 51444.3, "ask": 51444.4, "last": 51444.4, "mark_price":
        51444.4, "index_price": 51469.95},
    ("bybit", "fetchTickers", 0):
        [{"time": 0, "symbol": "BTC/USDT:USDT-250530-70000-C", "bid": 11595.0, "ask": 12150.0, "last": 16160.0,
        "mark_price": 11860.81425623, "index_price": 78750.38868972}],
    ("bybit", "fetchAllGreeks", 0):
        [{"time": 0, "symbol": "BTC/USDT:USDT-250530-70000-C", "delta": 0.46906374, "gamma": 1.814e-05, "theta":
        -79.92724861, "vega": 166.09011572, "mark_iv": 0.5252, "mark_price": 7037.25257463, "underlying_price":
        107998.45}],
    ("okx", "createOrder", 0):
        "accepted: 2896576259728695296",
    ("okx", "fetchBalance", 0):
        {"TUSD": (100.0, 0.0, 100.0)},
    ("okx", "fetchBalance", 1):
        {"ADA": (1000.0, 0.0, 1000.0), "BTC": (0.6612664522199999, 0.4000000000000001, 1.06126645222), "ETH":
        (5.0, 0.0, 5.0), "JFI": (100.0, 0.0, 100.0), "LTC": (10.19979, 0.1, 10.29979), "OKB": (100.0, 0.0,
        100.0), "PAX": (3000.0, 0.0, 3000.0), "TRX": (10000.0, 0.0, 10000.0), "TUSD": (3000.0, 0.0, 3000.0),
        "UNI": (500.0, 0.0, 500.0), "USDC": (2973.521, 0.0, 2973.521), "USDK": (3000.0, 0.0, 3000.0), "USDT":
        (0.0, 0.000258796, 0.000258796)},
    ("okx", "fetchOpenOrders", 0):
        [{"id": "e847386590ce4dBC510e616e0438b78a", "symbol": "LTC/USDT:USDT", "side": "buy", "type": "stop",
        "qty": 1.0, "stop_price": 100.0, "status": "open", "created": 1732618057878, "updated": 1732618057878,
        "exchange_id": "2017146754403004416"}],
    ("okx", "fetchClosedOrders", 0):
        [{"id": "e847386590ce4dBC2f7dbb9924c2b77c", "symbol": "LTC/USDT:USDT", "side": "buy", "type": "market",
        "qty": 1.0, "status": "filled", "filled": 1.0, "average_price": 68.24, "fee": 3.412e-05,
        "position_side": "long", "created": 1706612162995, "updated": 1706612162996, "exchange_id":
        "672515387010932736"}],
    ("okx", "fetchMyTrades", 0):
        [{"id": "56181695", "time": 1698835093028, "symbol": "LTC/USDT", "order_id": "639895991331667968",
        "side": "buy", "qty": 0.1, "price": 67.84, "fee": 0.0001, "fee_currency": "LTC", "pnl": 0.0}],
    ("okx", "fetchPositions", 0):
        [{"symbol": "LTC/USDT:USDT", "position_side": "long", "qty": 1.0, "entry_price": 68.24, "mark_price":
        68.24, "margin": 0.0227466666666667, "leverage": 3.0, "opened": 1706612162996, "margin_mode": "cross"}],
    ("okx", "fetchOrderBook", 0):
        {"time": 1706612067750, "symbol": "BTC/USDT:USDT", "bids": ((43466.3, 138.07), (43466.2, 171.51)),
        "asks": ((43466.4, 148.81), (43466.5, 146.24))},
    ("okx", "fetchOHLCV", 0):
        [(1706630400000, 43377.1, 43500.0, 43220.9, 43495.9, 7137.30786672), (1706634000000, 43495.9, 43591.7,
        43300.0, 43398.6, 4492.95408114), (1706637600000, 43398.6, 43493.9, 43279.9, 43373.9, 5070.79611732)],
    ("okx", "fetchTrades", 0):
        [(1710327658374, 73239.3, 0.0009478, -1)],
    ("okx", "fetchTicker", 0):
        {"time": 1710328243709, "symbol": "BTC/USDT", "bid": 73384.7, "ask": 73384.8, "last": 73384.8},
    ("okx", "fetchOrder", 0):
        {"id": "e847386590ce4dBC6f7ae74854f6a617", "symbol": "LTC/USDT", "side": "buy", "type": "market", "qty":
        0.1, "status": "filled", "filled": 0.1, "average_price": 101.58, "created": 1712410901848, "updated":
        1712410901852, "exchange_id": "1339107111507525632"},
    ("okx", "fetchPosition", 0):
        [{"symbol": "LTC/USDT:USDT", "position_side": "long", "qty": 2.0, "entry_price": 82.675, "mark_price":
        101.33, "unrealized_pnl": 0.03731, "funding": -0.0154171409554622, "margin": 0.020266, "leverage": 10.0,
        "opened": 1706612162996, "margin_mode": "cross"}],
    ("okx", "fetchPosition", 1):
        [{"symbol": "BTC/USDT:USDT", "position_side": "long", "qty": 0.0001, "entry_price": 69304.7,
        "mark_price": 69456.9, "unrealized_pnl": 0.0152199999999997, "margin": 0.693047, "leverage": 10.0,
        "liquidation_price": 62656.28282270215, "opened": 1773228124186, "margin_mode": "isolated"}],
    ("bitget", "createOrder", 0):
        "accepted: 1136353550487961603",
    ("bitget", "createOrder", 1):
        "accepted: 1330958844544008192",
    ("bitget", "editOrder", 1):
        "accepted: 1330984742276198400",
    ("bitget", "fetchMyTrades", 0):
        [{"id": "1109431644504666114", "time": 1700235036970, "symbol": "LTC/USDT", "order_id":
        "1109431644367261698", "side": "buy", "qty": 0.0794, "price": 69.265, "fee": 7.94e-05, "fee_currency":
        "LTC"}],
    ("bitget", "fetchClosedOrders", 0):
        [{"id": "1115965643971776512", "symbol": "LTC/USDT:USDT", "side": "sell", "type": "market", "qty": 0.1,
        "status": "filled", "filled": 0.1, "average_price": 72.25, "fee": 0.004335, "reduce_only": True,
        "position_side": "long", "created": 1701792863838, "updated": 1701792863950, "exchange_id":
        "1115965643967582214"}],
    ("bitget", "fetchOpenOrders", 0):
        [{"id": "a0fa8867-b90c-4c1c-ab32-45469dcdb53d", "symbol": "LTC/USDT", "side": "buy", "type": "limit",
        "qty": 0.11, "price": 50.0, "status": "open", "created": 1706653719541, "updated": 1706653719648,
        "exchange_id": "1136353550487961603"}],
    ("bitget", "fetchOpenOrders", 1):
        ["accepted: 1330984742276198400"],
    ("bitget", "fetchBalance", 1):
        {"BTC": (1.0, 0.0, 1.0), "ETH": (10.0, 0.0, 10.0), "SOL": (100.0, 0.0, 100.0), "USDC": (100000.0, 0.0,
        100000.0), "USDT": (10000.0, 0.0, 10000.0), "WBTC": (1.0, 0.0, 1.0)},
    ("bitget", "fetchPositions", 0):
        [{"symbol": "LTC/USDT:USDT", "position_side": "long", "qty": 0.1, "entry_price": 72.66, "mark_price":
        72.62, "unrealized_pnl": -0.004, "margin": 1.4532, "leverage": 5.0, "opened": 1702575043747,
        "margin_mode": "cross"}],
    ("bitget", "fetchOHLCV", 0):
        [(1703762100000, 43113.6, 43113.6, 43104.1, 43104.1, 0.1989923623571494)],
    ("bitget", "fetchOHLCV", 1):
        [(1750417680000, 106010.0, 106090.4, 106010.0, 106032.0, 0.045)],
    ("bitget", "fetchOHLCV", 2):
        [(1750417800000, 106008.4, 106008.4, 105963.5, 105963.5, 46.172)],
    ("bitget", "fetchOrderBook", 0):
        {"time": 1706804094602, "symbol": "BTC/USDT", "bids": ((42604.36, 0.616), (42604.3, 0.44)), "asks":
        ((42604.37, 0.601), (42608.51, 0.0127))},
    ("bitget", "fetchOrder", 0):
        {"id": "1139544620049014787", "symbol": "LTC/USDT:USDT", "side": "buy", "type": "market", "qty": 0.1,
        "status": "filled", "filled": 0.1, "average_price": 68.74, "fee": 0.0041244, "position_side": "long",
        "created": 1707414529811, "updated": 1707414529920, "exchange_id": "1139544620032237568"},
    ("bitget", "fetchOrder", 1):
        {"id": "84e6d418-b92b-480c-9169-6082702b32b7", "symbol": "LTC/USDT", "side": "buy", "type": "market",
        "qty": 0.0915, "status": "filled", "filled": 0.0915, "average_price": 65.521, "created": 1706177030942,
        "updated": 1706177031075, "exchange_id": "1134354173590421508"},
    ("bitget", "fetchTrades", 0):
        [(1710327601000, 73240.07, 0.057852, 1)],
    ("bitget", "fetchTrades", 1):
        [(1753061769961, 116931.8, 0.0163, 1), (1753061777900, 116918.85, 0.0126, 1), (1753061786596, 116924.31,
        0.0435, -1)],
    ("bitget", "fetchTicker", 0):
        {"time": 1710328244283, "symbol": "BTC/USDT", "bid": 73369.13, "ask": 73369.14, "last": 73369.13},
    ("bitget", "fetchTickers", 0):
        [{"time": 1750334228806, "symbol": "BTC/USDT", "bid": 104751.0, "ask": 104815.9, "last": 104788.4}],
    ("bitget", "fetchFundingRateHistory", 0):
        [(1750435200000, -1.3e-05)],
    ("bitget", "fetchCanceledOrders", 0):
        [{"id": "1328873370824327168", "symbol": "BTC/USDT:USDT", "side": "buy", "type": "limit", "qty": 0.001,
        "price": 110000.0, "status": "canceled", "message": "normal_cancel", "created": 1752554021554,
        "updated": 1752554076067, "exchange_id": "1328873370820132864"}],
    ("bitget", "createOrders", 0):
        ["accepted: 1329948909442023424", "accepted: 1329948909442023425"],
    ("kucoin", "fetchPosition", 0):
        [{"symbol": "DOGE/USDT:USDT", "qty": 100.0, "entry_price": 0.093795, "mark_price": 0.09181,
        "unrealized_pnl": -0.1985, "margin": 3.0603333330273, "leverage": 3.0, "margin_mode": "cross"}],
    ("kucoin", "fetchPositions", 0):
        [{"symbol": "ETH/USDT:USDT", "position_side": "long", "qty": 0.02, "entry_price": 1882.41, "mark_price":
        1883.29, "unrealized_pnl": 0.0177, "margin": 12.5493666655, "leverage": 3.0, "liquidation_price": 0.01,
        "opened": 1771835369248, "margin_mode": "cross"}],
    ("kucoin", "createOrder", 0):
        "accepted: 449762571717763072",
    ("kucoin", "createOrder", 1):
        "accepted: 357928390482800640",
    ("kucoin", "fetchFundingRateHistory", 0):
        [(1769328000000, 8.2e-05)],
    ("kucoin", "fetchOpenOrders", 0):
        [{"id": "708987d5-c346-487a-a70c-ea267377b0ca", "symbol": "ETH/USDT", "side": "buy", "type": "limit",
        "qty": 0.001, "price": 1000.0, "status": "open", "created": 1774457869404, "updated": 1774457869469,
        "exchange_id": "426328635071352832"}],
    ("kucoin", "fetchMyTrades", 0):
        [{"id": "20719257576687616", "time": 1774460786276, "symbol": "ETH/USDT", "order_id":
        "426340869306667008", "side": "buy", "qty": 0.0046169, "price": 2165.93, "fee": 0.009999882217,
        "fee_currency": "USDT"}],
    ("kucoin", "fetchClosedOrders", 0):
        [{"id": "ce802c82-3b80-4adb-8da5-c39103f102af", "symbol": "LTC/USDT", "side": "buy", "type": "market",
        "qty": 0.1, "status": "filled", "filled": 0.1, "average_price": 68.1, "fee": 0.00681, "created":
        1706704836933, "updated": 1706704836933, "exchange_id": "65ba3fc497c9e300079f2003"}],
    ("kucoin", "fetchOHLCV", 0):
        [(1769402280000, 87842.5, 87897.4, 87842.5, 87897.4, 0.475)],
    ("kucoin", "fetchOrder", 0):
        {"id": "test order with tp and sl", "symbol": "DOGE/USDT:USDT", "side": "buy", "type": "market", "qty":
        100.0, "status": "filled", "filled": 100.0, "average_price": 0.09641, "fee": 0.0057846, "stop_loss":
        0.01, "take_profit": 1.0, "created": 1774468501233, "updated": 1774468501294, "exchange_id":
        "426373228194254848"},
    ("kucoin", "fetchTrades", 0):
        [(1710327649901, 73266.7, 0.001, -1)],
    ("kucoin", "fetchTicker", 0):
        {"time": 0, "symbol": "ETH/USDT", "bid": 1573.1, "ask": 1573.11, "last": 1573.1},
    ("kucoin", "fetchTicker", 1):
        {"time": 1709897710012, "symbol": "BTC/USDT", "bid": 67399.9, "ask": 67400.0, "last": 67400.0},
    ("kucoin", "fetchBalance", 0):
        {"USDT": (44.53821148, 0.0, 44.53821148)},
    ("kucoin", "fetchBalance", 1):
        {"USDT": (5.0, 0.0, 5.0)},
    ("kucoin", "fetchOrderBook", 0):
        {"time": 1769412227424, "symbol": "BTC/USDT:USDT", "bids": ((87970.5, 0.034), (87970.4, 0.012)), "asks":
        ((87970.6, 0.794), (87970.7, 0.001))},
    ("kucoinfutures", "fetchOpenOrders", 0):
        [{"id": "a4ebb53e-028e-4977-91de-10f30c491ca2", "symbol": "LTC/USDT:USDT", "side": "buy", "type":
        "limit", "qty": 0.1, "price": 50.0, "status": "open", "created": 1700137607713, "updated":
        1700137607713, "exchange_id": "114606863965757440"}],
    ("kucoinfutures", "fetchMyTrades", 0):
        [{"id": "1694909144276", "time": 1700137680654, "symbol": "LTC/USDT:USDT", "order_id":
        "114607169852157954", "side": "buy", "qty": 0.1, "price": 72.5, "fee": 0.00435, "fee_currency": "USDT"}],
    ("kucoinfutures", "fetchOrder", 0):
        {"id": "7bfd51c9-fef2-4f19-bfab-7191c24e1855", "symbol": "LTC/USDT:USDT", "side": "sell", "type":
        "market", "qty": 0.1, "status": "filled", "filled": 0.1, "average_price": 74.7, "reduce_only": True,
        "created": 1703780982072, "updated": 1703780982103, "exchange_id": "129888283827113984"},
    ("kucoinfutures", "fetchOHLCV", 0):
        [(1706630400000, 43375.2, 43514.2, 43219.0, 43492.0, 354.348), (1706634000000, 43495.6, 43598.9,
        43301.8, 43392.3, 282.425), (1706637600000, 43392.4, 43492.9, 43278.9, 43359.9, 296.246)],
    ("kucoinfutures", "fetchTrades", 0):
        [(1710327649901, 73266.7, 0.001, -1)],
    ("kucoinfutures", "fetchTicker", 0):
        {"time": 1710328243260, "symbol": "BTC/USDT:USDT", "bid": 73399.9, "ask": 73400.0, "last": 73400.0},
    ("kucoinfutures", "createOrder", 0):
        "accepted: 246795204516917248",
}
# fmt: on
