#include "tests/shim/unit/check.h"

#include <stdio.h>

namespace check {
namespace {

Case* first = nullptr;
int failures = 0;

}  // namespace

Case::Case(const char* case_name, void (*case_body)()) : name(case_name), body(case_body), next(first) {
  first = this;
}

void fail(const char* file, int line, const char* what) {
  failures++;
  fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
}

}  // namespace check

int main() {
  int count = 0;
  for (const check::Case* at = check::first; at != nullptr; at = at->next) {
    const int before = check::failures;
    at->body();
    count++;
    if (check::failures != before) fprintf(stderr, "FAILED: %s\n", at->name);
  }
  printf("%d cases, %d failures\n", count, check::failures);
  return check::failures == 0 ? 0 : 1;
}
