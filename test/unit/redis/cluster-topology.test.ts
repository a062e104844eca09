import { describe, expect, it } from 'vitest';
import { UnavailableError } from '../../../src/errors.js';
import { ClusterTopology } from '../../../src/redis/servers/cluster-topology.js';
import type { ClusterView } from '../../../src/redis/servers/cluster-view.js';
import { createAddress, type Address } from '../../../src/redis/client/address.js';
import { VirtualClock } from '../../../src/testing/virtual-clock.js';

const LAST = 16_383;
const [a, b, c] = [createAddress('h', 1), createAddress('h', 2), createAddress('h', 3)];

function view(
  epoch: number | undefined,
  ...owners: [from: number, master: Address][]
): ClusterView {
  const ranges = owners.map(([from, master], index) => {
    return { from, to: (owners[index + 1]?.[0] ?? LAST + 1) - 1, master };
  });
  return { epoch, ranges, replicas: [] };
}

/** A cluster in which each server says what it is told to say. */
class Scene {
  readonly clock = new VirtualClock();
  readonly says = new Map<string, ClusterView | Promise<ClusterView>>();
  readonly asked: string[] = [];
  readonly seen: boolean[] = [];
  readonly topology: ClusterTopology;

  constructor(candidates: readonly Address[] = [a, b, c]) {
    this.topology = new ClusterTopology({
      clock: this.clock,
      candidates: () => candidates,
      ask: async ({ name }) => {
        this.asked.push(name);
        const answer = this.says.get(name);
        if (answer === undefined) throw new UnavailableError(`${name} is down`);
        return answer;
      },
      reached: (address) => address,
      failed: () => undefined,
      reported: (changed) => this.seen.push(changed),
    });
  }

  owners(...slots: number[]): (string | undefined)[] {
    return slots.map((slot) => this.topology.owner(slot)?.name);
  }
}

describe('the topology of a cluster', () => {
  it('is the first answer of a server', async () => {
    const scene = new Scene();
    scene.says.set('h:3', view(1, [0, a], [8_000, b]));
    await scene.topology.refresh();
    expect(scene.owners(0, 7_999, 8_000, LAST)).toEqual(['h:1', 'h:1', 'h:2', 'h:2']);
    expect([...scene.topology.masters.keys()]).toEqual(['h:1', 'h:2']);
  });

  it('may have slots without an owner, which is an error of its own', async () => {
    const scene = new Scene();
    scene.says.set('h:1', {
      epoch: 1,
      ranges: [{ from: 0, to: 9, master: a }],
      replicas: [],
    });
    await scene.topology.refresh();
    expect(scene.owners(9, 10)).toEqual(['h:1', undefined]);
    expect(scene.topology.failure.message).toContain('no server of the cluster');
  });

  it('is unknown while no server answers, with the reason', async () => {
    const scene = new Scene();
    await scene.topology.refresh();
    expect(scene.owners(0)).toEqual([undefined]);
    expect(scene.topology.failure.message).toBe('h:1 is down');
    expect(scene.asked).toEqual(['h:1', 'h:2', 'h:3']);
  });

  it('asks the given number of servers, and the next ones when they do not answer', async () => {
    const scene = new Scene();
    scene.says.set('h:2', view(1, [0, a]));
    await scene.topology.refresh(1);
    expect(scene.asked).toEqual(['h:1', 'h:2']);
  });

  it('does not wait for a server that hangs', async () => {
    const scene = new Scene();
    scene.says.set('h:1', new Promise(() => undefined));
    scene.says.set('h:2', view(1, [0, b]));
    await scene.topology.refresh();
    expect(scene.owners(0)).toEqual(['h:2']);
  });

  it('keeps the newer answer when a server answers that was cut off', async () => {
    const scene = new Scene([a]);
    scene.says.set('h:1', view(7, [0, b]));
    await scene.topology.refresh();
    scene.says.set('h:1', view(6, [0, a]));
    await scene.topology.refresh();
    await scene.topology.refresh();
    expect(scene.owners(0)).toEqual(['h:2']);
    // A cluster made anew counts from the start.
    await scene.topology.refresh();
    expect(scene.owners(0)).toEqual(['h:1']);
  });

  it('compares a late answer by its epoch', async () => {
    const scene = new Scene();
    let answer: (late: ClusterView) => void = () => undefined;
    scene.says.set('h:1', view(6, [0, a]));
    scene.says.set('h:2', new Promise((resolve) => (answer = resolve)));
    await scene.topology.refresh();
    expect(scene.owners(0)).toEqual(['h:1']);
    answer(view(7, [0, c]));
    await Promise.resolve();
    await Promise.resolve();
    await Promise.resolve();
    expect(scene.owners(0)).toEqual(['h:3']);
  });

  it('trusts the long-standing owner of a slot more than a server with older news', async () => {
    const scene = new Scene([c]);
    scene.says.set('h:3', view(7, [0, a]));
    await scene.topology.refresh();
    scene.topology.moved(5, b);
    expect(scene.owners(4, 5, 6)).toEqual(['h:1', 'h:2', 'h:1']);
    await scene.topology.refresh();
    expect(scene.owners(5)).toEqual(['h:2']);
    await scene.clock.advance(2_001);
    await scene.topology.refresh();
    expect(scene.owners(5)).toEqual(['h:1']);
  });

  it('reports each time whether masters have changed', async () => {
    const scene = new Scene([a]);
    scene.says.set('h:1', view(7, [0, a]));
    await scene.topology.refresh();
    await scene.topology.refresh();
    scene.says.set('h:1', view(8, [0, a], [16_383, b]));
    await scene.topology.refresh();
    expect(scene.seen).toEqual([true, false, true]);
  });
});
