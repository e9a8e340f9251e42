"""The layout of sheets of sample images: a legend, headings, and rows of pictures with captions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from PIL import Image, ImageDraw, ImageFont

WIDTH, GAP = 1600, 10
LEGEND_LINES = 4
PAPER, _GROUND, _INK, _FAINT = "#16181c", "#24272d", "#f2f3f5", "#a9aeb8"
_FONT, _SMALL_FONT = (ImageFont.load_default(size=size) for size in (20, 13))


def stack(strips: Sequence[Image.Image]) -> Image.Image:
    """Return strips of the sheet's width below one another."""
    sheet = Image.new("RGB", (WIDTH, sum(strip.height for strip in strips) + GAP), PAPER)
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet


def legend(entries: Iterable[tuple[str, str]]) -> Image.Image:
    """Return names beside their colours, as far as there is room."""
    strip = Image.new("RGB", (WIDTH, 16 + LEGEND_LINES * 26), PAPER)
    draw = ImageDraw.Draw(strip)
    x, y = GAP, 14
    for name, colour in entries:
        text = _cut(draw, name, 300)
        needed = 46 + round(draw.textlength(text, font=_SMALL_FONT))
        if x + needed > WIDTH:
            x, y = GAP, y + 26
        if y + 26 > strip.height:
            break
        draw.rectangle((x, y + 1, x + 16, y + 17), fill=colour)
        draw.text((x + 22, y), text, fill=_INK, font=_SMALL_FONT)
        x += needed
    return strip.crop((0, 0, WIDTH, min(y + 30, strip.height)))


def heading(text: str) -> Image.Image:
    """Return a heading of the sheet."""
    strip = Image.new("RGB", (WIDTH, 44), PAPER)
    ImageDraw.Draw(strip).text((GAP, 14), text, fill=_INK, font=_FONT)
    return strip


def grid(tiles: Iterable[tuple[Image.Image, str]], tile_wh: tuple[int, int]) -> Iterator[Image.Image]:
    """Yield rows of pictures with their captions below."""
    columns = (WIDTH - GAP) // (tile_wh[0] + GAP)
    waiting = list(tiles)
    for start in range(0, len(waiting), columns):
        lines = max(caption.count("\n") for _, caption in waiting) + 1
        row = Image.new("RGB", (WIDTH, tile_wh[1] + 10 + 17 * lines), PAPER)
        draw = ImageDraw.Draw(row)
        for column, (tile, caption) in enumerate(waiting[start : start + columns]):
            x = GAP + column * (tile_wh[0] + GAP)
            draw.rectangle((x, 0, x + tile_wh[0] - 1, tile_wh[1] - 1), fill=_GROUND)
            row.paste(tile, (x + (tile_wh[0] - tile.width) // 2, (tile_wh[1] - tile.height) // 2))
            for line, text in enumerate(caption.split("\n")):
                place = (x, tile_wh[1] + 3 + 17 * line)
                draw.text(place, _cut(draw, text, tile_wh[0]), fill=_FAINT, font=_SMALL_FONT)
        yield row


def _cut(draw: ImageDraw.ImageDraw, text: str, width: float) -> str:
    """Shorten a text in its middle until it fits."""
    keep = len(text)
    cut = text
    while draw.textlength(cut, font=_SMALL_FONT) > width and keep > 2:
        keep -= 1
        cut = f"{text[: keep - keep // 2]}…{text[-(keep // 2) :]}"
    return cut
