"""The shape of `[[tests]]`: what is asked of the configuration, and what has to come of it."""

from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta

from mcproxy.model.config.settings import Table
from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.model.state.route_options import Answer
from mcproxy.model.values.endpoint import RouteBackend
from mcproxy.model.values.http import questions
from mcproxy.model.values.http.filter_types import Authority, ExpectedHeaders, OptionalSize, SentHeaders
from mcproxy.model.values.http.questions import Place, RequestLine
from mcproxy.model.values.leaf_types import AnswerStatus, Backend, OptionalListenAddress, Text, leaf

Request: TypeAlias = Annotated[
    RequestLine,
    leaf(
        questions.parse_request,
        pattern=f"^$|{questions.REQUEST_PATTERN}",
        examples=["GET https://www.example.com/", "POST http://www.example.com/form?draft=1"],
    ),
]
Connect: TypeAlias = Annotated[
    Place,
    leaf(questions.parse_connect, pattern=f"^$|{questions.CONNECT_PATTERN}", examples=["db.example.com:443", ":25"]),
]
Client: TypeAlias = Annotated[str, leaf(questions.parse_client, examples=["203.0.113.9", "2001:db8::9"])]
ClientCountry: TypeAlias = Annotated[
    str, leaf(questions.parse_client_country, pattern="^([A-Za-z]{2})?$", examples=["SE"])
]
StepName: TypeAlias = Annotated[str, leaf(questions.parse_step, enum=["", *questions.STEPS])]
FoundRoute: TypeAlias = Annotated[str, leaf(questions.parse_found_route, examples=["www.example.com", "*.example.com"])]
FoundCase: TypeAlias = Annotated[str, leaf(questions.parse_found_case, examples=["/api/*", "GET|HEAD /robots.txt"])]


class Expect(Table, frozen=True, kw_only=True):
    """What has to come of a test's request or connection; each key is judged by itself, and one at least has to be there."""

    status: Annotated[
        AnswerStatus,
        Meta(
            description="The status that the proxy itself answers with, as it redirects, responds or refuses. Default 0 = not judged; of a request that a backend "
            "gets the backend decides, so that says `backend`."
        ),
    ] = 0
    route: Annotated[
        FoundRoute, Meta(description='The hostname of the route, as the file has it. Default "" = none.')
    ] = ""
    case: Annotated[FoundCase, Meta(description='The match of the case. Default "" = none of them.')] = ""
    backend: Annotated[
        Backend,
        Meta(
            description="Where the request or connection goes: the name of the upstream; or addresses, exactly those that it may go to, whether a route or an "
            'upstream has them. Default "" = nowhere.'
        ),
    ] = RouteBackend()
    redirect: Annotated[
        Text,
        Meta(description='Where the client is sent, Location, with all variables filled in. Default "" = nowhere.'),
    ] = ""
    respond: Annotated[
        Answer,
        Meta(
            description='What the client is answered with, as `respond` of the route or case says it. Default "" = nothing.'
        ),
    ] = ""
    header: Annotated[
        ExpectedHeaders,
        Meta(
            description='Headers that the client gets, as far as the proxy decides them: `{ X-Frame-Options = "DENY" }`; "*" = any value, '
            '"" = the header is not there. Default none.'
        ),
    ] = ()
    backend_header: Annotated[
        ExpectedHeaders,
        Meta(description="Headers that the backend gets with the request, as `header` says them. Default none."),
    ] = ()
    backend_path: Annotated[
        Text, Meta(description='Path and query that the backend gets, after a rewrite. Default "" = not judged.')
    ] = ""
    backend_host: Annotated[
        Authority, Meta(description='The host that the backend gets, perhaps with a port. Default "" = not judged.')
    ] = ""
    refused_by: Annotated[
        Text,
        Meta(
            description="What refuses: the name of a filter, a key such as `allow_cidrs`, `blocked_countries` or `max_body`, `firewall`, or a reason as the access "
            'log has it (`no_route`, `ambiguous_path`). Default "" = nothing.'
        ),
    ] = ""
    reset: Annotated[
        bool, Meta(description="Whether the connection is reset, without an answer. Default false = it is not.")
    ] = False
    step: Annotated[
        StepName,
        Meta(
            description='Where it ends, as `mcproxy explain` calls it: `"backend"`, `"action"` (a redirect, a text, or 404), or the step that refuses. Default '
            '"" = not judged. Limits, rates and auth let a test pass, unless it names them: by `step`, by `refused_by`, or by status 401 or 429.'
        ),
    ] = ""
    filter: Annotated[
        FilterOptions | None,
        Meta(
            description='Keys of the filters that hold there, with their values: `{ rate_limit = "200/10s" }`. Default none.'
        ),
    ] = None


class ConfigTest(Table, frozen=True, kw_only=True):
    """A request or connection, and what has to come of it: a file whose test fails is as invalid as one with a typo."""

    expect: Annotated[Expect, Meta(description="What has to come of it. Required.")]
    name: Annotated[Text, Meta(description='What it shows, for people. Default "".')] = ""
    request: Annotated[
        Request,
        Meta(
            description='"METHOD URL": the scheme and the port say which listener gets it, the host is the server name and Host. Default "" = none; one of request and connect is required.'
        ),
    ] = RequestLine()
    connect: Annotated[
        Connect,
        Meta(
            description='"name:port": a connection and no request, for l4 routes; ":port" or an address for a client without a server name. Default "" = '
            "none."
        ),
    ] = Place()
    headers: Annotated[
        SentHeaders, Meta(description="Headers of the request; Host in place of the URL's. Default none.")
    ] = ()
    body: Annotated[
        OptionalSize, Meta(description='How long the body of the request is, as in "11MiB". Default "" = not said.')
    ] = UNSET
    ip: Annotated[
        Client,
        Meta(
            description="The client's address; where another proxy stands in front, with `real_ip` that proxy's. Default \"\" = 192.0.0.8, where only IPv6 reaches "
            "the listener 100::1."
        ),
    ] = ""
    country: Annotated[
        ClientCountry,
        Meta(description='The country of the client, whatever the database says. Default "" = what geoip_db says.'),
    ] = ""
    proxy_ip: Annotated[
        Client,
        Meta(
            description='On a listener with proxy_protocol who connects, and names the client in a PROXY header. Default "" = one that is trusted.'
        ),
    ] = ""
    client_cert: Annotated[
        Text,
        Meta(
            description='A name in the certificate that the client shows, which a CA of the route vouches for: "spiffe://prod/web". Default "" = it shows none.'
        ),
    ] = ""
    listener: Annotated[
        OptionalListenAddress,
        Meta(
            description='The addr of the listener that gets it. Default "" = the one at the port of the URL, or of connect; required where several could be meant.'
        ),
    ] = ""
