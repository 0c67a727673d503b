// The heap beside a model that cannot be wrong: an array and a linear search.
#include "common/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include <cmocka.h>

#define NODES 300
#define STEPS 200000

struct item {
    struct heap_node node;
    bool is_in;
};

static uint64_t
smallest(const struct item *items)
{
    uint64_t key = UINT64_MAX;

    for (size_t i = 0; i < NODES; i++) {
        if (items[i].is_in && items[i].node.key < key)
            key = items[i].node.key;
    }
    return key;
}

static void
check(const struct heap *heap, const struct item *items, size_t len)
{
    const struct heap_node *first = heap_peek(heap);

    assert_int_equal(heap->len, len);
    if (!len) {
        assert_null(first);
        return;
    }
    assert_non_null(first);
    assert_int_equal(first->key, smallest(items));
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(heap->nodes[i]->place, i + 1);
        // Else the order would be lost only much later.
        assert_true(heap->nodes[i]->key >=
                    heap->nodes[(i + 1) / 2 - (i > 0)]->key);
    }
}

static void
walk(unsigned seed, unsigned keys, unsigned pushes_of_8)
{
    struct item *items = calloc(NODES, sizeof(*items));
    struct heap heap = {0};
    size_t len = 0;

    assert_non_null(items);
    for (int step = 0; step < STEPS; step++) {
        struct item *item = &items[(unsigned)rand_r(&seed) % NODES];
        bool is_push = (unsigned)rand_r(&seed) % 8 < pushes_of_8;

        if (is_push && !item->is_in) {
            assert_int_equal(
                heap_push(&heap, &item->node, (unsigned)rand_r(&seed) % keys),
                0);
            item->is_in = true;
            len++;
        } else if (!is_push) {
            // One that is in no heap is left alone.
            len -= item->is_in;
            heap_remove(&heap, &item->node);
            item->is_in = false;
            assert_int_equal(item->node.place, 0);
        }
        if (step % 16 == 0)
            check(&heap, items, len);
    }
    heap_fini(&heap);
    free(items);
}

static void
test_model(void **state)
{
    (void)state;
    walk(1, 1000000, 4);
    walk(2, 1000000, 6); // nearly full
    walk(3, 8, 4);       // many equal keys
}

static void
test_order(void **state)
{
    struct item *items = calloc(NODES, sizeof(*items));
    struct heap heap = {0};
    unsigned seed = 7;
    uint64_t last = 0;

    (void)state;
    assert_non_null(items);
    for (size_t i = 0; i < NODES; i++)
        assert_int_equal(
            heap_push(&heap, &items[i].node, (uint64_t)rand_r(&seed) << 20), 0);
    for (size_t i = 0; i < NODES; i++) {
        struct heap_node *node = heap_peek(&heap);

        assert_non_null(node);
        assert_true(node->key >= last);
        last = node->key;
        heap_remove(&heap, node);
    }
    assert_null(heap_peek(&heap));
    heap_fini(&heap);
    free(items);
}

static void
test_reserve(void **state)
{
    struct heap heap = {0};
    struct heap_node *const *nodes;
    struct item *items = calloc(NODES, sizeof(*items));

    (void)state;
    assert_non_null(items);
    assert_int_equal(heap_reserve(&heap, NODES), 0);
    nodes = heap.nodes;
    assert_int_equal(heap_reserve(&heap, 1), 0);
    for (size_t i = 0; i < NODES; i++)
        assert_int_equal(heap_push(&heap, &items[i].node, NODES - i), 0);
    assert_ptr_equal(heap.nodes, nodes); // none of them asked for memory
    assert_int_equal(heap_peek(&heap)->key, 1);
    heap_fini(&heap);
    assert_null(heap_peek(&heap));
    free(items);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_reserve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
