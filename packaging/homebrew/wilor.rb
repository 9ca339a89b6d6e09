# Homebrew's formula (docs/apple.md says how to install from it). It has not run on a Mac yet: `ruby -c` and
# the commands of its test, on Linux, are what was checked. A release's url and sha256 are the owner's to fill
# in; until then HOMEBREW_WILOR_GIT names the repository, a folder for example.
class Wilor < Formula
  desc "3D hands from pictures and cameras: the WiLoR model in C"
  homepage "https://github.com/rolpotamias/WiLoR"
  license "MIT"
  head ENV.fetch("HOMEBREW_WILOR_GIT", "https://github.com/OWNER/wilor.git"), using: :git, branch: "main"

  depends_on "cmake" => :build
  depends_on "pkgconf" => :build
  depends_on "ffmpeg"
  depends_on "jansson"
  depends_on "jpeg-turbo"
  depends_on "libpng"
  depends_on "libwebsockets"
  depends_on "openssl@3"
  depends_on "webp"

  uses_from_macos "curl"
  uses_from_macos "zlib"

  on_macos do
    on_arm do
      depends_on "mlx-c"
    end
  end

  def install
    args = %w[-DWILOR_TESTS=OFF -DWILOR_BENCH=OFF -DWILOR_CUDA=OFF]
    system "cmake", "-S", ".", "-B", "build", *args, *std_cmake_args(install_prefix: prefix)
    system "cmake", "--build", "build"
    system "cmake", "--install", "build"
    pkgshare.install "demo/hands.png"
  end

  test do
    # Weights by formula, which answer every picture with the mean pose; nothing is fetched.
    system bin/"wilor", "predict", pkgshare/"hands.png", "--weights", "random:demo",
           "--mano", pkgshare/"hand-cc0.npz", "--bbox", "333,178,623,298,right",
           "-o", "hands.ndjson", "--expect-hands"
    assert_match '"side":"right"', (testpath/"hands.ndjson").read
    (testpath/"version.c").write <<~C
      #include <stdio.h>
      #include <wilor/wilor.h>
      int main(void) { return puts(wilor_version()) < 0; }
    C
    system ENV.cc, "version.c", "-I#{include}", "-L#{lib}", "-lwilor", "-o", "version"
    assert_match "0.", shell_output("./version")
  end
end
