// Memory that runs out: of what the program under test asks for, the n-th and all that follows is refused (or the n-th
// alone). The linker leads its calls of malloc, calloc, realloc and mmap here (--wrap in CMakeLists.txt).
#pragma once

namespace check {

class Scarce {
 public:
  enum Refused { kOne, kAll };
  // Counts from 1.
  explicit Scarce(int nth, Refused refused = kOne);
  ~Scarce();
  Scarce(const Scarce&) = delete;
  Scarce& operator=(const Scarce&) = delete;
  // Whether anything has been refused yet.
  bool felt() const;
};

// Calls `body` with every allocation refused in its turn, until it asks for no more: how many that were.
template <typename Body>
int each_allocation_refused(Body body, Scarce::Refused refused = Scarce::kOne) {
  for (int nth = 1;; nth++) {
    const Scarce scarce(nth, refused);
    body();
    if (!scarce.felt()) return nth - 1;
  }
}

}  // namespace check
