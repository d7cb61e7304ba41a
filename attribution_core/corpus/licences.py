"""Web addresses of the licences that images name."""

from __future__ import annotations

import re

_CC = re.compile(r"cc[- ](by(?:-nc)?(?:-sa|-nd)?)[- ](\d\.\d)", re.IGNORECASE)
_CC0 = re.compile(r"cc0(?:[- ]1\.0)?", re.IGNORECASE)
_SPDX = (
    "0BSD AFL-3.0 AGPL-3.0 Apache-2.0 Artistic-2.0 BSD-2-Clause BSD-3-Clause GPL-2.0 GPL-3.0 ISC LGPL-2.1 LGPL-3.0 MIT "
    "MPL-2.0 OFL-1.1 PDDL-1.0 ODbL-1.0 ODC-By-1.0 Unlicense Zlib"
).split()
_BY_NAME = {name.lower(): f"https://spdx.org/licenses/{name}.html" for name in _SPDX}


def licence_url(licence: str) -> str:
    """Return the web address of a licence by its name, or the address that it is; "" where it is not known."""
    text = licence.strip()
    if text.lower().startswith(("https://", "http://")):
        return text
    if match := _CC.fullmatch(text):
        return f"https://creativecommons.org/licenses/{match[1].lower()}/{match[2]}/"
    if _CC0.fullmatch(text):
        return "https://creativecommons.org/publicdomain/zero/1.0/"
    return _BY_NAME.get(text.lower(), "")
