#include "addon/tests/check.h"

namespace berth::test {
namespace {

Test* first = nullptr;
int failures = 0;

}  // namespace

Test::Test(const char* sentence_, void (*run_)()) : sentence(sentence_), run(run_), next(first) {
  first = this;
}

void report(bool holds, const char* expression, const char* file, int line) {
  if (holds) return;
  ++failures;
  (void)fprintf(stderr, "  %s:%d: does not hold: %s\n", file, line, expression);
}

}  // namespace berth::test

int main() {
  int count = 0;
  for (const berth::test::Test* test = berth::test::first; test != nullptr; test = test->next) {
    (void)printf("%s\n", test->sentence);
    test->run();
    ++count;
  }
  (void)printf("%d tests, %d failures\n", count, berth::test::failures);
  return berth::test::failures == 0 && count > 0 ? 0 : 1;
}
