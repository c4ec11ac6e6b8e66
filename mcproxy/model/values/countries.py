"""Codes of countries: ISO 3166-1 alpha-2, as country databases have them."""

CODES = frozenset(
    """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF
    CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH
    GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW
    KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG
    NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN
    SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT
    ZA ZM ZW XK
    """.split()  # noqa: SIM905 - a list of them fills a page
)
"""The assigned codes, and ``XK``, which databases use for Kosovo (of the codes that ISO leaves to its users)."""

MEANT = {
    "UK": "GB",
    "EN": "GB",
    "EL": "GR",
    "JA": "JP",
    "ZH": "CN",
    "KO": "KR",
    "CS": "CZ",
    "DA": "DK",
    "SU": "RU",
    "TP": "TL",
    "BU": "MM",
    "ZR": "CD",
    "FX": "FR",
    "YU": "RS",
    "AN": "CW",
    "KV": "XK",
    "USA": "US",
    "GBR": "GB",
    "DEU": "DE",
    "GER": "DE",
    "FRA": "FR",
    "CHN": "CN",
    "RUS": "RU",
    "SWE": "SE",
    "IND": "IN",
    "BRA": "BR",
    "PRK": "KP",
    "IRN": "IR",
    "UKR": "UA",
}
"""What codes of languages, former countries and of three letters stand for, as far as they are often written."""
