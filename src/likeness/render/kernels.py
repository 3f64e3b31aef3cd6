"""The Warp kernels of `likeness.render.raster` and `likeness.render`: one source for CPU and GPU.

Importing this module imports Warp (a third of a second), so only `likeness.render.kernel_loading` does.

How a picture is made. Vertices are projected and snapped to a grid of 1/4096 pixel, so that coverage is decided
in exact integers: every pixel centre inside a closed surface belongs to exactly one of the triangles that share
an edge there (top-left rule). Each triangle then scans the pixels of its bounding box and keeps the largest of
64-bit keys (bits of 1/depth, then the lower triangle index) per pixel: an atomic maximum on the GPU, a plain
one on the CPU, where Warp runs a launch serially. A last pass turns keys into triangle, barycentrics and depth.

Loops over pixels take a ``run`` of them per thread: a row on the CPU, where neighbours share a triangle's
set-up, one pixel on the GPU. The two kernels that step edge functions are longer than functions should be: in
pieces, they would hand each other all of their dozen variables.
"""

# Kernels are Warp's language, not Python's: their types are checked when Warp compiles them.
# mypy: ignore-errors
import warp as wp

# The backward pass would double the compile time and is never run.
wp.set_module_options({"enable_backward": False})

SUBPIXEL_BITS = wp.constant(12)
SUBPIXEL = wp.constant(4096)
GUARD = wp.constant(131072.0)  # pixels; keeps edge functions below 2^61
LAST_INDEX = wp.constant(2147483647)

Vec3Array = wp.array(dtype=wp.vec3)
Vec4Array = wp.array(dtype=wp.vec4)
Int3Array = wp.array(dtype=wp.vec3i)
IntArray = wp.array(dtype=wp.int32)
LongArray = wp.array(dtype=wp.int64)
FloatArray = wp.array(dtype=wp.float32)
FloatTable = wp.array2d(dtype=wp.float32)


@wp.func
def edge(a: wp.vec3i, b: wp.vec3i, x: wp.int32, y: wp.int32) -> wp.int64:
    """Twice the signed area of a, b, (x, y), sub-pixels²: > 0 to the right of a -> b as seen (y down)."""
    return wp.int64(b[0] - a[0]) * wp.int64(y - a[1]) - wp.int64(b[1] - a[1]) * wp.int64(x - a[0])


@wp.func
def excluded(a: wp.vec3i, b: wp.vec3i) -> wp.int64:
    """0 if pixel centres on the edge a -> b belong to the triangle (a top or a left edge), else 1."""
    if a[1] > b[1] or (a[1] == b[1] and b[0] > a[0]):
        return wp.int64(0)
    return wp.int64(1)


@wp.func
def per_pixel(difference: wp.int32) -> wp.int64:
    """What an edge function gains from one pixel to the next."""
    return wp.int64(difference) * wp.int64(SUBPIXEL)


@wp.kernel
def project_vertices(vertices: Vec3Array, view: FloatArray, near: float, corners: Int3Array):
    """Vertices -> x, y in sub-pixels and the bits of 1/depth; 1/depth is 0 where a vertex cannot be drawn.

    view: rotation (9), translation (3), focal, centre (2), and 1 if vertices are x px, y px, depth already.
    """
    i = wp.tid()
    v = vertices[i]
    x = v[0]
    y = v[1]
    z = v[2]
    if view[15] == 0.0:
        z = view[6] * v[0] + view[7] * v[1] + view[8] * v[2] + view[11]
        scale = view[12] / z
        x = (view[0] * v[0] + view[1] * v[1] + view[2] * v[2] + view[9]) * scale + view[13]
        y = (view[3] * v[0] + view[4] * v[1] + view[5] * v[2] + view[10]) * scale + view[14]
    corner = wp.vec3i(0, 0, 0)
    if z > near and wp.abs(x) < GUARD and wp.abs(y) < GUARD:
        corner = wp.vec3i(
            wp.int32(wp.floor(x * wp.float32(SUBPIXEL) + 0.5)),
            wp.int32(wp.floor(y * wp.float32(SUBPIXEL) + 0.5)),
            wp.cast(1.0 / z, wp.int32),
        )
    corners[i] = corner


@wp.kernel
def draw_triangles(corners: Int3Array, triangles: Int3Array, width: int, height: int, cull: int, keys: LongArray):
    """One thread per triangle: raise ``keys`` at the pixels whose centre it covers."""
    index = wp.tid()
    t = triangles[index]
    a = corners[t[0]]
    b = corners[t[1]]
    c = corners[t[2]]
    if a[2] == 0 or b[2] == 0 or c[2] == 0:
        return
    area = edge(a, b, c[0], c[1])
    # Counter-clockwise as seen is negative where y points down.
    if area == wp.int64(0) or (cull != 0 and area > wp.int64(0)):
        return
    if area < wp.int64(0):
        d = b
        b = c
        c = d
        area = -area
    left = wp.max((wp.min(wp.min(a[0], b[0]), c[0]) + (SUBPIXEL - 1)) >> SUBPIXEL_BITS, 0)
    right = wp.min(wp.max(wp.max(a[0], b[0]), c[0]) >> SUBPIXEL_BITS, width - 1)
    top = wp.max((wp.min(wp.min(a[1], b[1]), c[1]) + (SUBPIXEL - 1)) >> SUBPIXEL_BITS, 0)
    bottom = wp.min(wp.max(wp.max(a[1], b[1]), c[1]) >> SUBPIXEL_BITS, height - 1)
    if left > right or top > bottom:
        return

    # Edge functions less 1 where the edge itself is not the triangle's: covered means that none is negative.
    skip_a = excluded(b, c)
    skip_b = excluded(c, a)
    skip_c = excluded(a, b)
    x = left << SUBPIXEL_BITS
    y = top << SUBPIXEL_BITS
    row_a = edge(b, c, x, y) - skip_a
    row_b = edge(c, a, x, y) - skip_b
    row_c = edge(a, b, x, y) - skip_c
    right_a = per_pixel(b[1] - c[1])
    right_b = per_pixel(c[1] - a[1])
    right_c = per_pixel(a[1] - b[1])
    down_a = per_pixel(c[0] - b[0])
    down_b = per_pixel(a[0] - c[0])
    down_c = per_pixel(b[0] - a[0])
    # 1/depth is linear in the image; as a weighted mean it never leaves the triangle's range.
    scale = 1.0 / wp.float32(area)
    near_a = wp.cast(a[2], wp.float32) * scale
    near_b = wp.cast(b[2], wp.float32) * scale
    near_c = wp.cast(c[2], wp.float32) * scale
    skipped = wp.float32(skip_a) * near_a + wp.float32(skip_b) * near_b + wp.float32(skip_c) * near_c
    low = wp.int64(LAST_INDEX) - wp.int64(index)
    row = top * width
    for _ in range(top, bottom + 1):
        wa = row_a
        wb = row_b
        wc = row_c
        for column in range(left, right + 1):
            if (wa | wb | wc) >= wp.int64(0):
                inverse = wp.float32(wa) * near_a + wp.float32(wb) * near_b + wp.float32(wc) * near_c + skipped
                key = (wp.int64(wp.cast(inverse, wp.int32)) << wp.int64(32)) | low
                wp.atomic_max(keys, row + column, key)
            wa += right_a
            wb += right_b
            wc += right_c
        row_a += down_a
        row_b += down_b
        row_c += down_c
        row += width


@wp.kernel
def resolve_pixels(
    corners: Int3Array,
    triangles: Int3Array,
    keys: LongArray,
    width: int,
    run: int,
    triangle: IntArray,
    barycentric: Vec3Array,
    depth: FloatArray,
):
    """Keys -> fragments, ``run`` pixels of one row per thread; pixels without a key are left as they are."""
    start = wp.tid() * run
    y = start // width
    column = start - y * width
    y = y << SUBPIXEL_BITS
    last = wp.int64(0)
    index = wp.int32(-1)
    wa = wp.int64(0)
    wb = wp.int64(0)
    wc = wp.int64(0)
    right_a = wp.int64(0)
    right_b = wp.int64(0)
    right_c = wp.int64(0)
    near_a = wp.float32(0.0)
    near_b = wp.float32(0.0)
    near_c = wp.float32(0.0)
    area = wp.float32(0.0)
    for i in range(run):
        pixel = start + i
        key = keys[pixel]
        if key != wp.int64(0):
            low = key & wp.int64(LAST_INDEX)
            # Two pixels of a triangle in one row have no empty one between: the last key's was one pixel ago.
            if low == last:
                wa += right_a
                wb += right_b
                wc += right_c
            else:
                last = low
                index = wp.int32(wp.int64(LAST_INDEX) - low)
                t = triangles[index]
                a = corners[t[0]]
                b = corners[t[1]]
                c = corners[t[2]]
                x = (column + i) << SUBPIXEL_BITS
                wa = edge(b, c, x, y)
                wb = edge(c, a, x, y)
                wc = edge(a, b, x, y)
                right_a = per_pixel(b[1] - c[1])
                right_b = per_pixel(c[1] - a[1])
                right_c = per_pixel(a[1] - b[1])
                near_a = wp.cast(a[2], wp.float32)
                near_b = wp.cast(b[2], wp.float32)
                near_c = wp.cast(c[2], wp.float32)
                area = wp.float32(edge(a, b, c[0], c[1]))
            pa = wp.float32(wa) * near_a
            pb = wp.float32(wb) * near_b
            pc = wp.float32(wc) * near_c
            scale = 1.0 / (pa + pb + pc)
            triangle[pixel] = index
            barycentric[pixel] = wp.vec3(pa * scale, pb * scale, pc * scale)
            depth[pixel] = area * scale


@wp.kernel
def interpolate_pixels(
    triangle: IntArray, barycentric: Vec3Array, triangles: Int3Array, attributes: FloatTable, out: FloatTable
):
    """Attributes of the corners weighted by the barycentrics; pixels without a triangle are left as they are."""
    pixel = wp.tid()
    index = triangle[pixel]
    if index >= 0:
        t = triangles[index]
        w = barycentric[pixel]
        for i in range(attributes.shape[1]):
            out[pixel, i] = w[0] * attributes[t[0], i] + w[1] * attributes[t[1], i] + w[2] * attributes[t[2], i]


@wp.func
def lit(n: wp.vec3, light: Vec3Array) -> wp.vec3:
    """Light that a surface with unit normal n reflects per albedo: ``likeness.render.lighting``'s polynomial."""
    return (
        light[0]
        + n[0] * light[1]
        + n[1] * light[2]
        + n[2] * light[3]
        + (n[0] * n[1]) * light[4]
        + (n[1] * n[2]) * light[5]
        + (n[2] * n[0]) * light[6]
        + (n[0] * n[0]) * light[7]
        + (n[1] * n[1]) * light[8]
        + (n[2] * n[2]) * light[9]
    )


@wp.kernel
def shade_pixels(
    triangle: IntArray,
    barycentric: Vec3Array,
    triangles: Int3Array,
    normals: Vec3Array,
    albedo: Vec3Array,
    light: Vec3Array,
    width: int,
    samples: int,
    run: int,
    out: Vec4Array,
):
    """Mean over ``samples`` × ``samples`` fragments of the reflected linear RGB (0 where nothing) and coverage.

    width: of the picture; the fragments' is ``samples`` times that. A thread makes ``run`` pixels of one row.
    """
    start = wp.tid() * run
    y = start // width
    first = y * samples * width * samples + (start - y * width) * samples
    scale = 1.0 / wp.float32(samples * samples)
    for i in range(run):
        color = wp.vec3(0.0, 0.0, 0.0)
        covered = wp.float32(0.0)
        for row in range(samples):
            for column in range(samples):
                fragment = first + i * samples + row * width * samples + column
                index = triangle[fragment]
                if index >= 0:
                    t = triangles[index]
                    w = barycentric[fragment]
                    n = wp.normalize(w[0] * normals[t[0]] + w[1] * normals[t[1]] + w[2] * normals[t[2]])
                    paint = w[0] * albedo[t[0]] + w[1] * albedo[t[1]] + w[2] * albedo[t[2]]
                    # Nine harmonics ring: a little less than no light may come out on the far side.
                    color += wp.cw_mul(paint, wp.max(lit(n, light), wp.vec3(0.0, 0.0, 0.0)))
                    covered += 1.0
        color *= scale
        out[start + i] = wp.vec4(color[0], color[1], color[2], covered * scale)
