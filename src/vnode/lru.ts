/**
 * An intrusive doubly linked list with the oldest at its head. Nodes carry the links; a node is on one list at
 * most.
 */
export interface LruNode<T> {
  lruPrev: T | undefined;
  lruNext: T | undefined;
  onLru: boolean;
}

export class LruList<T extends LruNode<T>> {
  head: T | undefined = undefined;
  tail: T | undefined = undefined;
  size = 0;

  push(node: T): void {
    node.onLru = true;
    node.lruPrev = this.tail;
    node.lruNext = undefined;
    if (this.tail) this.tail.lruNext = node;
    else this.head = node;
    this.tail = node;
    this.size++;
  }

  remove(node: T): void {
    if (node.lruPrev) node.lruPrev.lruNext = node.lruNext;
    else this.head = node.lruNext;
    if (node.lruNext) node.lruNext.lruPrev = node.lruPrev;
    else this.tail = node.lruPrev;
    node.lruPrev = undefined;
    node.lruNext = undefined;
    node.onLru = false;
    this.size--;
  }
}
