// heap.h - deadlines in order: an intrusive binary heap
//
// The smallest key first. A node lives in its owner's struct and is in at most
// one heap. One thread.
#ifndef COMMON_HEAP_H
#define COMMON_HEAP_H
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    uint64_t key; // the deadline, ms
    size_t place; // 1-based index in the heap; 0: in none
};

struct heap {
    struct heap_node **nodes;
    size_t len, room;
};

// Frees the array, not the nodes.
void heap_fini(struct heap *heap);

// Makes room for nodes, so that pushing up to that many cannot fail. Returns 0
// or -ENOMEM.
int heap_reserve(struct heap *heap, size_t nodes);

// Adds a node that is in no heap. Returns 0 or -ENOMEM.
int heap_push(struct heap *heap, struct heap_node *node, uint64_t key);

// The node with the smallest key, or NULL. It stays.
struct heap_node *heap_peek(const struct heap *heap);

// Removes a node; one that is in no heap is left alone.
void heap_remove(struct heap *heap, struct heap_node *node);

#endif
