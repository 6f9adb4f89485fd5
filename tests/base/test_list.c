/*
 * test_list.c - the doubly linked list keeps order and lets members go.
 */
#include "t.h"
#include "base/list.h"

TestSuite(list, .timeout = 20);

struct item {
    int number;
    struct weft__link link;
};

static struct item items[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};

static void
list_fill(struct weft__list *list, int n)
{
    weft__list_init(list);
    for (int i = 0; i < n; i++)
        weft__list_push_back(list, &items[i].link);
}

static int
number_of(struct weft__link *link)
{
    return weft__container(link, struct item, link)->number;
}

/* The members' numbers as decimal digits, first to last. */
static int
digits(struct weft__list *list)
{
    int sum = 0;
    weft__list_foreach(link, list) sum = sum * 10 + number_of(link) + 1;
    return sum;
}

Test(list, an_empty_list_gives_nothing)
{
    struct weft__list list;
    weft__list_init(&list);
    cr_assert(weft__list_empty(&list));
    cr_assert(weft__list_first(&list) == NULL);
    cr_assert(weft__list_pop_front(&list) == NULL);
    cr_assert(digits(&list) == 0);
}

Test(list, members_come_out_in_the_order_of_push_back)
{
    struct weft__list list;
    list_fill(&list, 3);
    cr_assert(number_of(weft__list_first(&list)) == 0);
    for (int i = 0; i < 3; i++)
        cr_assert(number_of(weft__list_pop_front(&list)) == i);
    cr_assert(weft__list_empty(&list));
}

Test(list, push_front_goes_before_all)
{
    struct weft__list list;
    list_fill(&list, 2);
    weft__list_push_front(&list, &items[3].link);
    cr_assert(digits(&list) == 412);
}

Test(list, a_removed_link_is_on_no_list_and_can_be_pushed_again)
{
    struct weft__list list;
    cr_assert(!weft__link_on_list(&items[1].link));
    list_fill(&list, 3);
    cr_assert(weft__link_on_list(&items[1].link));
    weft__list_remove(&items[1].link);
    cr_assert(!weft__link_on_list(&items[1].link));
    cr_assert(digits(&list) == 13);
    weft__list_push_back(&list, &items[1].link);
    cr_assert(digits(&list) == 132);
}

Test(list, foreach_may_remove_the_member_at_hand)
{
    struct weft__list list;
    list_fill(&list, 4);
    weft__list_foreach(link, &list) if (number_of(link) % 2 == 0) weft__list_remove(link);
    cr_assert(digits(&list) == 24);
}

Test(list, append_all_moves_members_behind)
{
    struct weft__list list, more;
    list_fill(&list, 2);
    weft__list_init(&more);
    weft__list_append_all(&list, &more);
    cr_assert(digits(&list) == 12);
    weft__list_push_back(&more, &items[2].link);
    weft__list_push_back(&more, &items[3].link);
    weft__list_append_all(&list, &more);
    cr_assert(digits(&list) == 1234);
    cr_assert(weft__list_empty(&more));
}
