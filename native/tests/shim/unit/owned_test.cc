#include "common/owned.h"

#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/shim/scarce.h"
#include "tests/shim/unit/check.h"

namespace berth {
namespace {

int alive = 0;

struct Counted {
  explicit Counted(int with = 0) : value(with) { alive++; }
  Counted(const Counted&) = delete;
  ~Counted() { alive--; }
  Counted* next = nullptr;
  int value;
};

TEST("an object ends once, with its last owner") {
  {
    Owned<Counted> owner = Owned<Counted>::make(7);
    CHECK(owner && owner->value == 7 && alive == 1);
    Owned<Counted> other = std::move(owner);
    CHECK(!owner && other->value == 7 && alive == 1);
    other = Owned<Counted>::make(8);
    CHECK(other->value == 8 && alive == 1);
    owner.adopt(other.release());
    CHECK(!other && owner->value == 8 && alive == 1);
    owner.reset();
    CHECK(!owner && alive == 0);
    owner = Owned<Counted>::make();
  }
  CHECK(alive == 0);
}

TEST("a list ends what is left in it, and what is taken out ends with who took it") {
  {
    OwnedList<Counted> list;
    Counted& second = list.push_back(Owned<Counted>::make(2));
    Counted& first = list.push_front(Owned<Counted>::make(1));
    Counted& third = list.push_back(Owned<Counted>::make(3));
    CHECK(list.first() == &first && first.next == &second && second.next == &third && third.next == nullptr);
    CHECK(list.size() == 3 && alive == 3);
    {
      const Owned<Counted> taken = list.take(second);
      CHECK(taken->value == 2 && taken->next == nullptr && alive == 3);
      CHECK(!list.take(second));  // it is in no list any more
    }
    CHECK(first.next == &third && list.size() == 2 && alive == 2);
    CHECK(list.take(first) && list.first() == &third);
    CHECK(list.take(third));
    CHECK(list.empty() && list.size() == 0 && alive == 0);
    list.push_front(Owned<Counted>::make());
    list.push_front(Owned<Counted>::make());
  }
  CHECK(alive == 0);
}

TEST("an array ends each of its objects, and may have none") {
  {
    OwnedArray<Counted> array;
    CHECK(array.make(5) && array.size() == 5 && alive == 5);
    OwnedArray<Counted> other = std::move(array);
    CHECK(array.empty() && array.data() == nullptr && other.size() == 5 && alive == 5);
    CHECK(array.make(0) && array.empty());
    CHECK(other.make(2) && alive == 2);
    array = std::move(other);
    CHECK(array.size() == 2 && alive == 2);
  }
  CHECK(alive == 0);
}

TEST("an array that is resized keeps its values") {
  OwnedArray<int> array;
  CHECK(array.resize(2));
  array[0] = 10;
  array[1] = 11;
  CHECK(array.resize(1000) && array.size() == 1000 && array[0] == 10 && array[1] == 11);
  CHECK(array.resize(1) && array[0] == 10);
  CHECK(array.resize(0) && array.empty());
}

TEST("more than can be counted is refused, not cut") {
  OwnedArray<uint64_t> array;
  CHECK(!array.make(SIZE_MAX / 4) && array.empty());
  CHECK(!array.resize(SIZE_MAX / 4) && array.empty());
  OwnedStrings strings;
  CHECK(strings.add(SIZE_MAX) == nullptr && strings.size() == 0);
}

TEST("a text is a copy that ends with a zero, and the empty one is a text as well") {
  OwnedText text;
  CHECK(text.empty() && text.view().empty() && text.c_str()[0] == '\0');
  char source[] = "/sys/fs/cgroup";
  CHECK(text.set(source));
  source[1] = '!';
  CHECK(text.view() == "/sys/fs/cgroup" && text.c_str()[text.view().size()] == '\0');
  CHECK(text.set(text.view().substr(4)) && text.view() == "/fs/cgroup");
  CHECK(text.set("") && text.empty() && text.c_str()[0] == '\0');
  const check::Scarce scarce(1);
  CHECK(text.set("") && !scarce.felt());
}

TEST("strings are a vector that ends with a null pointer, however many") {
  OwnedStrings strings;
  CHECK(strings.items()[0] == nullptr);
  for (int i = 0; i < 100; i++) {
    char* const place = strings.add(2);
    CHECK(place != nullptr);
    place[0] = static_cast<char>('0' + i / 10);
    place[1] = static_cast<char>('0' + i % 10);
    CHECK(strings.items()[i + 1] == nullptr);
  }
  CHECK(strings.size() == 100);
  CHECK(std::string_view(strings.items()[0]) == "00" && std::string_view(strings.items()[99]) == "99");
}

TEST("pages are zeros, given back whole, and zeros again when cleared") {
  Pages pages;
  CHECK(!pages && pages.make(3 * 4096) && pages.size() == 3 * 4096 && pages.data()[4096] == 0);
  pages.data()[4096] = 'x';
  Pages other = std::move(pages);
  CHECK(!pages && other.data()[4096] == 'x');
  other.clear();
  CHECK(other.data()[4096] == 0);
  other.reset();
  CHECK(!other && other.size() == 0);
}

TEST("what is shared is one with the children") {
  Shared<int> number;
  CHECK(number.make() && *number == 0);
  const pid_t child = fork();
  if (child == 0) {
    *number = 42;
    _exit(0);
  }
  CHECK(waitpid(child, nullptr, 0) == child && *number == 42);
}

TEST("without memory every owner is empty, and what was there before is not lost twice") {
  const int asked = check::each_allocation_refused([] {
    const Owned<Counted> one = Owned<Counted>::make();
    CHECK(alive == (one ? 1 : 0));
    OwnedArray<Counted> many;
    CHECK(many.make(3) == (many.size() == 3) && alive == (one ? 1 : 0) + static_cast<int>(many.size()));
    OwnedArray<char> bytes;
    const size_t before = bytes.resize(10) ? 10 : 0;
    CHECK(bytes.size() == before && bytes.resize(1'000'000) == (bytes.size() == 1'000'000));
    OwnedText text;
    CHECK(text.set("a path") == (text.view() == "a path"));
    OwnedStrings strings;
    for (size_t i = 0; i < 40; i++) {
      const size_t size = strings.size();
      char* const place = strings.add(1);
      if (place != nullptr) *place = 'x';
      CHECK(strings.size() == size + (place != nullptr) && strings.items()[strings.size()] == nullptr);
    }
    Pages pages;
    CHECK(pages.make(4096) == static_cast<bool>(pages));
    Shared<int> shared;
    CHECK(shared.make() == static_cast<bool>(shared));
  });
  CHECK(asked == 1 + 1 + 2 + 1 + 42 + 2 && alive == 0);
}

}  // namespace
}  // namespace berth
