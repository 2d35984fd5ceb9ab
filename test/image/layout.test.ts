import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ImageError } from '../../image/errors.ts';
import { groupMaps } from '../../image/ufs2/cylinder-group.ts';
import { groupBlockBytes, type Layout, planLayout } from '../../image/ufs2/layout.ts';

const GIB = 2 ** 30;

/** The rules of validate_sblock (FreeBSD ffs_subr.c) and of the group maps, stated apart from the planner. */
function expectSound(layout: Layout): void {
  const { frag, fragmentsPerGroup: fpg, inodesPerGroup: ipg, groups, size } = layout;
  const fits = { ...layout };
  expect(fits).toMatchObject({ superblock: expect.any(Number) });
  expect([fpg % frag, ipg % layout.inodesPerBlock]).toEqual([0, 0]);
  expect(size > (groups - 1) * fpg && size <= groups * fpg).toBe(true);
  expect(layout.dataBlocks).toBe(layout.inodeBlocks + (ipg * 256) / layout.fragmentSize);
  for (const header of [168, 172, 176]) {
    const bytes = groupBlockBytes(fpg, ipg, frag, layout.clusterSizes, header);
    expect(bytes).toBeLessThanOrEqual(layout.blockSize);
    expect(Math.ceil(bytes / layout.fragmentSize) * layout.fragmentSize).toBe(layout.groupBytes);
  }
  expect(groupMaps(layout).end).toBeLessThanOrEqual(layout.groupBytes);
  // The last group has room for its own metadata and a block, or ends at its boundary.
  const last = size - (groups - 1) * fpg;
  expect(last).toBeGreaterThanOrEqual(layout.dataBlocks + frag);
  expect(layout.summaryAddress + layout.summaryBytes / layout.fragmentSize).toBeLessThan(Math.min(fpg, size));
  expect(layout.metaspace).toBeLessThanOrEqual(fpg / 2);
  expect(ipg * groups).toBeLessThanOrEqual(2 ** 32 - layout.inodesPerBlock);
}

describe('the geometry', () => {
  test('is that of newfs(8) for the reference volume', () => {
    expect(planLayout({ size: 32 << 20 })).toMatchObject({
      groups: 4,
      fragmentsPerGroup: 2056,
      inodesPerGroup: 1152,
      dataBlocks: 112,
      groupBytes: 4096,
      summaryAddress: 112,
      dataFragments: 7815,
      metaspace: 80,
      clusterSizes: 16,
      maxContig: 32,
    });
  });

  test('packs large volumes into few groups', () => {
    // 32 KiB describe 160,000 fragments and their inodes: some 600 MiB.
    const layout = planLayout({ size: 10 * GIB });
    expectSound(layout);
    expect(layout.groups).toBe(17);
    expect(layout.groupBytes).toBe(32768);
    expect((layout.fragmentsPerGroup * 4096) / GIB).toBeGreaterThan(0.6);
  });

  test('is sound where a group comes to fill its block', () => {
    // Four groups of some 160,000 fragments: the maps of one take 32 KiB, give or take.
    const full = planLayout({ size: 10 * GIB }).fragmentsPerGroup;
    for (let fpg = full - 2000; fpg < full + 2400; fpg += 8) {
      for (const odd of [-8, 0, 8]) expectSound(planLayout({ size: (fpg * 4 + odd) * 4096 }));
    }
  });

  test('is sound for any size and density', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 32 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.constantFrom(4096, 8192, 16384, 32768, 65536),
        fc.constantFrom(1, 2, 4, 8),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 0, max: 99 }),
        (odd, magnitude, blockSize, frag, density, minfree) => {
          const fragmentSize = blockSize / frag;
          // From 512 KiB to 16 TiB, spread over the magnitudes.
          const size = Math.floor((2 ** (19 + 25 * magnitude) + odd * magnitude) / 512) * 512;
          let layout: Layout;
          try {
            layout = planLayout({ size, blockSize, fragmentSize, density: density * fragmentSize, minfree });
          } catch (error) {
            // Tiny volumes may have no room, huge ones too many inodes; nothing else may be refused.
            expect(error).toBeInstanceOf(ImageError);
            if (size < 8 * blockSize * 128) expect(['VolumeTooSmall']).toContain((error as ImageError).code);
            else expect(String(error)).toMatch(/2\^32|too small for a volume/);
            return;
          }
          expectSound(layout);
        },
      ),
      { numRuns: 3000, seed: 20260723 },
    );
  });

  test.each([
    [{ size: GIB, blockSize: 1000 }],
    [{ size: GIB, blockSize: 131072 }],
    [{ size: GIB, fragmentSize: 2048 }],
    [{ size: GIB, fragmentSize: 65536 }],
    [{ size: GIB, minfree: 100 }],
    [{ size: GIB + 1 }],
    [{ size: 0 }],
    [{ size: GIB, density: 100 }],
  ])('refuses %j', (options) => {
    expect(() => planLayout(options)).toThrow(expect.objectContaining({ code: 'Usage' }));
  });
});
