# mypy: disable-error-code="valid-type"
import warp as wp

wp.set_module_options({"enable_backward": False})

Points = wp.array(dtype=wp.vec3)
Corners = wp.array(dtype=wp.vec3i)
Keys = wp.array(dtype=wp.int64)
Floats = wp.array(dtype=wp.float32)
Table = wp.array2d(dtype=wp.float32)
Ints = wp.array(dtype=wp.int32)

SUBPIXEL_BITS = wp.constant(12)
SUBPIXEL = wp.constant(4096)


@wp.func
def edge(a: wp.vec3i, b: wp.vec3i, x: wp.int32, y: wp.int32) -> wp.int64:
    return wp.int64(b[0] - a[0]) * wp.int64(y - a[1]) - wp.int64(b[1] - a[1]) * wp.int64(x - a[0])


@wp.func
def excluded(a: wp.vec3i, b: wp.vec3i) -> wp.int64:
    if a[1] > b[1] or (a[1] == b[1] and b[0] > a[0]):
        return wp.int64(0)
    return wp.int64(1)


@wp.kernel
def project_vertices(vertices: Points, view: Floats, corners: Corners):
    i = wp.tid()
    v = vertices[i]
    x = v[0]
    y = v[1]
    z = v[2]
    if view[15] == 0.0:
        z = view[6] * v[0] + view[7] * v[1] + view[8] * v[2] + view[11]
        s = view[12] / z
        x = (view[0] * v[0] + view[1] * v[1] + view[2] * v[2] + view[9]) * s + view[13]
        y = (view[3] * v[0] + view[4] * v[1] + view[5] * v[2] + view[10]) * s + view[14]
    corner = wp.vec3i(0, 0, 0)
    if z > 1.0 and wp.abs(x) < 131072.0 and wp.abs(y) < 131072.0:
        corner = wp.vec3i(
            wp.int32(wp.floor(x * 4096.0 + 0.5)),
            wp.int32(wp.floor(y * 4096.0 + 0.5)),
            wp.cast(1.0 / z, wp.int32),
        )
    corners[i] = corner


@wp.kernel
def draw_triangles(corners: Corners, triangles: Corners, width: int, height: int, cull: int, keys: Keys):
    index = wp.tid()
    t = triangles[index]
    a = corners[t[0]]
    b = corners[t[1]]
    c = corners[t[2]]
    if a[2] == 0 or b[2] == 0 or c[2] == 0:
        return
    area = edge(a, b, c[0], c[1])
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
    x0 = left << SUBPIXEL_BITS
    y0 = top << SUBPIXEL_BITS
    ea = excluded(b, c)
    eb = excluded(c, a)
    ec = excluded(a, b)
    row_a = edge(b, c, x0, y0) - ea
    row_b = edge(c, a, x0, y0) - eb
    row_c = edge(a, b, x0, y0) - ec
    dx_a = wp.int64(b[1] - c[1]) << wp.int64(12)
    dx_b = wp.int64(c[1] - a[1]) << wp.int64(12)
    dx_c = wp.int64(a[1] - b[1]) << wp.int64(12)
    dy_a = wp.int64(c[0] - b[0]) << wp.int64(12)
    dy_b = wp.int64(a[0] - c[0]) << wp.int64(12)
    dy_c = wp.int64(b[0] - a[0]) << wp.int64(12)
    scale = 1.0 / wp.float32(area)
    za = wp.cast(a[2], wp.float32) * scale
    zb = wp.cast(b[2], wp.float32) * scale
    zc = wp.cast(c[2], wp.float32) * scale
    z0 = wp.float32(ea) * za + wp.float32(eb) * zb + wp.float32(ec) * zc
    low = wp.int64(2147483647 - index)
    row = top * width
    for _y in range(top, bottom + 1):
        wa = row_a
        wb = row_b
        wc = row_c
        for x in range(left, right + 1):
            if (wa | wb | wc) >= wp.int64(0):
                inverse = wp.float32(wa) * za + wp.float32(wb) * zb + wp.float32(wc) * zc + z0
                key = (wp.int64(wp.cast(inverse, wp.int32)) << wp.int64(32)) | low
                wp.atomic_max(keys, row + x, key)
            wa += dx_a
            wb += dx_b
            wc += dx_c
        row_a += dy_a
        row_b += dy_b
        row_c += dy_c
        row += width


@wp.kernel
def resolve(
    corners: Corners,
    triangles: Corners,
    keys: Keys,
    width: int,
    run: int,
    triangle: Ints,
    barycentric: Points,
    depth: Floats,
):
    start = wp.tid() * run
    y = start // width
    x0 = start - y * width
    y = y << SUBPIXEL_BITS
    last = wp.int64(0)
    wa = wp.int64(0)
    wb = wp.int64(0)
    wc = wp.int64(0)
    da = wp.int64(0)
    db = wp.int64(0)
    dc = wp.int64(0)
    za = wp.float32(0.0)
    zb = wp.float32(0.0)
    zc = wp.float32(0.0)
    area = wp.float32(0.0)
    index = wp.int32(-1)
    for i in range(run):
        pixel = start + i
        key = keys[pixel]
        if key != wp.int64(0):
            low = key & wp.int64(2147483647)
            if low == last:
                wa += da
                wb += db
                wc += dc
            else:
                last = low
                index = 2147483647 - wp.int32(low)
                x = (x0 + i) << SUBPIXEL_BITS
                t = triangles[index]
                a = corners[t[0]]
                b = corners[t[1]]
                c = corners[t[2]]
                wa = edge(b, c, x, y)
                wb = edge(c, a, x, y)
                wc = edge(a, b, x, y)
                area = wp.float32(edge(a, b, c[0], c[1]))
                da = wp.int64(b[1] - c[1]) << wp.int64(12)
                db = wp.int64(c[1] - a[1]) << wp.int64(12)
                dc = wp.int64(a[1] - b[1]) << wp.int64(12)
                za = wp.cast(a[2], wp.float32)
                zb = wp.cast(b[2], wp.float32)
                zc = wp.cast(c[2], wp.float32)
            pa = wp.float32(wa) * za
            pb = wp.float32(wb) * zb
            pc = wp.float32(wc) * zc
            scale = 1.0 / (pa + pb + pc)
            triangle[pixel] = index
            barycentric[pixel] = wp.vec3(pa * scale, pb * scale, pc * scale)
            depth[pixel] = area * scale
