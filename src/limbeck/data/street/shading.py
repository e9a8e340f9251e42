"""What colour every pixel has before it reaches the sensor: material, light, shadow and fog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.data.shapes import Floats, Singles, Vector
from limbeck.data.street.config import Label
from limbeck.data.street.materials import Material, noise_tile, texture
from limbeck.data.street.render import NOTHING, Hits
from limbeck.data.street.solids import Solid
from limbeck.data.street.viewpoint import Viewpoint
from limbeck.data.street.weather import SKY_FOG_M, Weather, headlight

WITHOUT_SHADOW = (Label.ROAD, Label.SIDEWALK, Label.POTHOLE)
SHADOW_GAP_M = 1e-3
"""How far from a surface a ray to the sun begins, so that it does not meet the surface itself."""


@dataclass(frozen=True, slots=True)
class Surfaces:
    """The surface in each pixel that shows a solid, in the order of the solids.

    Attributes:
        pixels: (N,) which pixels they are, in the flat image.
        points: (3,N) where they are in the world.
        normals: (3,N) their normals.
        uv: (2,N) where on the solid they are, in metres.
        material: (N,) which of the materials they are of.
        materials: The materials.
    """

    pixels: NDArray[np.intp]
    points: Floats
    normals: Singles
    uv: Singles
    material: NDArray[np.intp]
    materials: tuple[Material, ...]


def surfaces(solids: Sequence[Solid], viewpoint: Viewpoint, rays: Floats, hits: Hits) -> Surfaces:
    """Look up what lies at the places that the rays met."""
    number_of_solid = hits.solid.ravel()
    pixels = np.argsort(number_of_solid, kind="stable")[np.count_nonzero(number_of_solid < 0) :]
    directions = rays.reshape(3, -1).take(pixels, axis=1)
    points = np.array(viewpoint.position)[:, None] + hits.depth.ravel()[pixels] * directions
    found = Surfaces(
        pixels,
        points,
        np.empty(points.shape, np.float32),
        np.empty(points[:2].shape, np.float32),
        np.empty(len(pixels), np.intp),
        _palette(solids),
    )
    number = {material: index for index, material in enumerate(found.materials)}
    ends = np.searchsorted(number_of_solid[pixels], np.arange(len(solids) + 1))
    for solid, first, end in zip(solids, ends, ends[1:], strict=False):
        if first == end:
            continue
        part = slice(first, end)
        found.normals[:, part], found.uv[:, part], face = solid.surface(points[:, part])
        materials = found.material[part]
        materials[:] = number[solid.material]
        for decal in solid.decals:
            materials[decal.covered(found.uv[:, part], face)] = number[decal.material]
        found.uv[:, part] += np.array(solid.centre)[[0, 2], None]  # so that two alike do not have the same grain
    return found


def _palette(solids: Sequence[Solid]) -> tuple[Material, ...]:
    all_materials = (material for solid in solids for material in (solid.material, *(d.material for d in solid.decals)))
    return tuple(dict.fromkeys(all_materials))


def in_shadow(solids: Sequence[Solid], points: Floats, normals: Singles, to_sun: Vector) -> NDArray[np.bool_]:
    """Return which points (3,N) the sun does not reach since they look away or something stands before it."""
    sun = np.array(to_sun)
    dark = sun.astype(np.float32) @ normals <= 0
    lit = np.flatnonzero(~dark)
    x, z = _along_sunbeam_to_ground(points.take(lit, axis=1), sun)
    order = np.argsort(z)
    lit, x, z = lit[order], x[order], z[order]
    for solid in solids:
        if solid.label in WITHOUT_SHADOW:
            continue
        shadow_x, shadow_z = _along_sunbeam_to_ground(solid.corners().T, sun)
        first, end = np.searchsorted(z, (shadow_z.min(), shadow_z.max()))
        near = lit[first:end][(x[first:end] > shadow_x.min()) & (x[first:end] < shadow_x.max())]
        near = near[~dark[near]]
        if len(near):
            starts = points.take(near, axis=1) + SHADOW_GAP_M * normals.take(near, axis=1)
            dark[near] = np.isfinite(solid.hit(starts, sun[:, None]))
    return dark


def _along_sunbeam_to_ground(points: Floats, sun: Floats) -> tuple[Floats, Floats]:
    """Return x and z at which the sunbeam through points (3,N) meets the road; all on one beam have the same."""
    x, y, z = points
    return x - y * (sun[0] / sun[1]), z - y * (sun[2] / sun[1])


def shade(solids: Sequence[Solid], viewpoint: Viewpoint, rays: Floats, hits: Hits, weather: Weather) -> Singles:
    """Return the light from each pixel, (H,W,3), linear; about 1 is white."""
    seen = surfaces(solids, viewpoint, rays, hits)
    depth = hits.depth.ravel()[seen.pixels].astype(np.float32)
    image = np.empty((hits.depth.size, 3), np.float32)
    haze = np.array(weather.horizon, np.float32)
    colours = _reflected(seen, depth, viewpoint.camera.fx) * _light(solids, seen, weather)
    image[seen.pixels] = haze + (colours - haze) * weather.transmittance(depth)[:, None]
    is_sky = hits.solid.ravel() == NOTHING
    sky = _sky(rays.reshape(3, -1).take(np.flatnonzero(is_sky), axis=1), weather)
    image[is_sky] = haze + (sky - haze) * weather.transmittance(SKY_FOG_M)
    return image.reshape(*hits.depth.shape, 3)


def _reflected(seen: Surfaces, depth: Singles, focal: float) -> Singles:
    """Return the part of the light that each surface reflects, (N,3)."""
    table = np.array([(*m.colour, m.contrast, m.grain) for m in seen.materials], np.float32)[seen.material]
    noise = texture(seen.uv, table[:, 4], depth / np.float32(focal))
    return np.asarray(table[:, :3] * np.maximum(1 + table[:, 3] * noise, 0.05)[:, None])


def _light(solids: Sequence[Solid], seen: Surfaces, weather: Weather) -> Singles:
    """Return the light that falls on each surface or comes out of it, (N,3)."""
    normals = seen.normals
    light = np.outer(0.7 - 0.3 * normals[1], np.array(weather.skylight, np.float32))
    if any(weather.sunlight):
        facing = np.array(weather.to_sun, np.float32) @ normals
        facing[in_shadow(solids, seen.points, seen.normals, weather.to_sun)] = 0
        light += np.outer(facing, np.array(weather.sunlight, np.float32))
    if weather.is_night:
        light += headlight(seen.points.astype(np.float32), normals)[:, None]
        light += np.array([m.glow for m in seen.materials], np.float32)[seen.material][:, None]
    return np.asarray(light)


def _sky(rays: Floats, weather: Weather) -> Singles:
    """Return the sky in the directions of rays (3,N), (N,3), with clouds."""
    x, y, z = rays.astype(np.float32)
    up = np.clip(-y / np.sqrt(x * x + y * y + z * z), 0, 1)
    tile = noise_tile()
    side = len(tile)
    rows, columns = ((part / (up + 0.3) * side / 6).astype(np.int32) % side for part in (x, z))
    clouds = np.clip(0.35 * tile[rows, columns], 0, 0.6) * np.minimum(4 * up, 1)
    zenith, horizon = (np.array(colour, np.float32) for colour in (weather.zenith, weather.horizon))
    part = (np.sqrt(up) * (1 - clouds))[:, None]
    return np.asarray(horizon + part * (zenith - horizon))
