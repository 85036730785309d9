// Memory that runs out: of what the program under test asks for, the n-th is refused. The linker leads all its calls of
// malloc, calloc, realloc and mmap here, those of the C library among them where that is linked into it (--wrap in
// CMakeLists.txt).
#pragma once

#include <atomic>

namespace check {

struct Scarcity {
  std::atomic<int> left;     // the last of so many is refused; 0: none
  std::atomic<int> refused;  // how many have been
};
// Where it is read from. The program's own at first.
extern Scarcity* scarcity;

class Scarce {
 public:
  // Counts from 1.
  explicit Scarce(int nth) {
    scarcity->refused = 0;
    scarcity->left = nth;
  }
  ~Scarce() { scarcity->left = 0; }
  Scarce(const Scarce&) = delete;
  Scarce& operator=(const Scarce&) = delete;
  // Whether anything has been refused yet.
  bool felt() const { return scarcity->refused > 0; }
};

// Calls `body` with every allocation refused in its turn, until it asks for no more: how many that were.
template <typename Body>
int each_allocation_refused(Body body) {
  for (int nth = 1;; nth++) {
    const Scarce scarce(nth);
    body();
    if (!scarce.felt()) return nth - 1;
  }
}

}  // namespace check
