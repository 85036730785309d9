// A test is a function with a sentence for a name; CHECK says what was expected and goes on.
#pragma once

#include <cstdio>

namespace berth::test {

struct Test {
  Test(const char* sentence, void (*run)());
  const char* sentence;
  void (*run)();
  Test* next;
};

void report(bool holds, const char* expression, const char* file, int line);

}  // namespace berth::test

#define CHECK(expression) ::berth::test::report(static_cast<bool>(expression), #expression, __FILE__, __LINE__)
#define BERTH_JOIN_(a, b) a##b
#define BERTH_JOIN(a, b) BERTH_JOIN_(a, b)
#define TEST(sentence)                                                                            \
  static void BERTH_JOIN(test_, __LINE__)();                                                      \
  static ::berth::test::Test BERTH_JOIN(entry_, __LINE__)(sentence, BERTH_JOIN(test_, __LINE__)); \
  static void BERTH_JOIN(test_, __LINE__)()
