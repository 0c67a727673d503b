#include "common/heap.h"

#include <errno.h>
#include <stdlib.h>

void
heap_fini(struct heap *heap)
{
    free(heap->nodes);
    *heap = (struct heap){0};
}

static void
put(struct heap *heap, size_t place, struct heap_node *node)
{
    heap->nodes[place - 1] = node;
    node->place = place;
}

static void
sift_up(struct heap *heap, struct heap_node *node)
{
    size_t place = node->place;

    while (place > 1 && heap->nodes[place / 2 - 1]->key > node->key) {
        put(heap, place, heap->nodes[place / 2 - 1]);
        place /= 2;
    }
    put(heap, place, node);
}

static void
sift_down(struct heap *heap, struct heap_node *node)
{
    size_t place = node->place;

    for (;;) {
        size_t child = place * 2;

        if (child > heap->len)
            break;
        if (child < heap->len &&
            heap->nodes[child]->key < heap->nodes[child - 1]->key)
            child++;
        if (heap->nodes[child - 1]->key >= node->key)
            break;
        put(heap, place, heap->nodes[child - 1]);
        place = child;
    }
    put(heap, place, node);
}

int
heap_reserve(struct heap *heap, size_t room)
{
    struct heap_node **nodes;

    if (room <= heap->room)
        return 0;
    nodes = realloc(heap->nodes, room * sizeof(struct heap_node *));
    if (!nodes)
        return -ENOMEM;
    heap->nodes = nodes;
    heap->room = room;
    return 0;
}

int
heap_push(struct heap *heap, struct heap_node *node, uint64_t key)
{
    if (heap->len == heap->room &&
        heap_reserve(heap, heap->room ? heap->room * 2 : 64) != 0)
        return -ENOMEM;
    node->key = key;
    heap->len++;
    put(heap, heap->len, node);
    sift_up(heap, node);
    return 0;
}

struct heap_node *
heap_peek(const struct heap *heap)
{
    return heap->len ? heap->nodes[0] : NULL;
}

void
heap_remove(struct heap *heap, struct heap_node *node)
{
    struct heap_node *last;
    size_t place = node->place;

    if (!place)
        return;
    last = heap->nodes[--heap->len];
    node->place = 0;
    if (last == node)
        return;
    put(heap, place, last);
    sift_up(heap, last);
    sift_down(heap, last);
}
