// The smallest test runner that will do: named cases, and a check that says where it failed.
#pragma once

#include <string_view>

namespace check {

struct Case {
  Case(const char* name, void (*body)());
  const char* name;
  void (*body)();
  Case* next;
};

void fail(const char* file, int line, const char* what);

}  // namespace check

#define CHECK_JOIN_(a, b) a##b
#define CHECK_JOIN(a, b) CHECK_JOIN_(a, b)
#define TEST(sentence)                                                                          \
  static void CHECK_JOIN(body_, __LINE__)();                                                    \
  static const check::Case CHECK_JOIN(entry_, __LINE__)(sentence, CHECK_JOIN(body_, __LINE__)); \
  static void CHECK_JOIN(body_, __LINE__)()
#define CHECK(condition)                                           \
  do {                                                             \
    if (!(condition)) check::fail(__FILE__, __LINE__, #condition); \
  } while (false)
