"""Gateways to the venue: which exchanges and kinds there are, and what they ask for."""

from venue.dialects import DIALECTS
from venue.server import credentials

from metaexpert.config import ExchangeSettings
from metaexpert.exchanges.connection import connect
from metaexpert.exchanges.gateway import Gateway
from metaexpert.exchanges.orders import OrderRequest, Terms
from metaexpert.models import Order, OrderType, Side

EXCHANGES = [dialect.NAME for dialect in DIALECTS]
KINDS = {
    "spot": ({"market_type": "spot"}, "BTC/USDT"),
    "linear": ({"market_type": "futures", "contract_type": "linear"}, "BTC/USDT:USDT"),
    "inverse": ({"market_type": "futures", "contract_type": "inverse"}, "BTC/USD:BTC"),
    "option": ({"market_type": "options"}, "BTC/USDT:USDT-261225-54000-C"),
}
"""Settings, and the symbol that tests trade; see `symbol_of`."""
CELLS = [(exchange, kind) for exchange in EXCHANGES for kind in ("spot", "linear", "inverse")]
KEYS = dict(zip(("api_key", "api_secret", "api_passphrase"), credentials("okx").values(), strict=True))


def symbol_of(exchange, kind):
    """The symbol that tests trade: one everywhere, but that OKX settles options in coins."""
    return "BTC/USD:BTC-261225-54000-C" if (exchange, kind) == ("okx", "option") else KINDS[kind][1]


async def no_sleep(_):
    return


def gateway_to(venue, exchange, kind, sleep=no_sleep, clock=None, **keys):
    """A gateway that is led to the venue and waits for nothing."""
    settings = ExchangeSettings(exchange=exchange, **KINDS[kind][0], **(KEYS | keys))

    def client(told):
        return venue.redirect(connect(told, sleep=no_sleep))

    return Gateway(settings, client=client, sleep=sleep, clock=clock or venue.clock)


def order(market, price, **more):
    """A limit purchase of a size that every market takes."""
    qty = 20 * max(market.qty_step, 100.0 if market.is_inverse else 0.001)
    plain = {"id": "a1b2c3", "symbol": market.symbol, "side": Side.BUY, "type": OrderType.LIMIT, "qty": qty}
    return Order(**(plain | {"price": price} | more))


def request(order, price, **more):
    return OrderRequest(order=order, terms=Terms(), reference_price=price, **more)
