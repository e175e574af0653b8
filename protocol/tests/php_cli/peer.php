<?php
// The other side of main.rs: answers one request after the other until its input ends.
// A request is a u32 of big-endian bytes, an operation and its payload; an answer is a u32, '+' or '-', and bytes.

declare(strict_types=1);

enum Suit: string
{
    case Hearts = 'h';
    case Spades = 's';
}

class Guarded
{
    public $open = 1;
    protected $guarded;
    private $own;
    public int $typed = 0;

    public function __construct($guarded, $own)
    {
        $this->guarded = $guarded;
        $this->own = $own;
    }
}

class Child extends Guarded
{
    private $own = 'of the child';
}

class Selfmade
{
    public function __construct(private mixed $data)
    {
    }

    public function __serialize(): array
    {
        return [5 => $this->data, 'name' => 'x'];
    }

    public function __unserialize(array $data): void
    {
        $this->data = $data[5];
    }
}

class Old implements Serializable
{
    public function __construct(private string $data)
    {
    }

    public function serialize()
    {
        return $this->data;
    }

    public function unserialize($data)
    {
        $this->data = $data;
    }
}

/** Random values, the same ones for the same seed. */
final class RandomValues
{
    /** Objects that may come again. */
    private array $objects = [];
    /** Variables that may be referred to again. */
    private array $variables = [];

    /**
     * @param bool $plain only what JSON has too
     * @param bool $circles arrays may be inside themselves, by reference
     */
    public function __construct(int $seed, private bool $plain, private bool $circles)
    {
        mt_srand($seed);
    }

    public function fill(mixed &$slot, int $depth): void
    {
        if ($this->circles && mt_rand(0, 19) === 0) {
            $this->variables[] = &$slot;
        }
        $slot = match (mt_rand(0, $depth > 0 ? 9 : 5)) {
            0 => null,
            1 => (bool) mt_rand(0, 1),
            2 => $this->int(),
            3 => $this->float(),
            4, 5 => $this->string(),
            6, 7 => $this->array($depth),
            8 => $this->plain ? $this->object($depth) : $this->anyObject($depth),
            9 => $this->plain ? $this->array($depth) : $this->again(),
        };
        if (!$this->plain && mt_rand(0, 4) === 0) {
            $this->variables[] = &$slot;
        }
    }

    public function array(int $depth): array
    {
        $array = [];
        $list = mt_rand(0, 1) === 0;
        for ($count = mt_rand(0, 5); $count > 0; $count--) {
            $key = $list ? count($array) : $this->key();
            unset($array[$key]);
            $array[$key] = null;
            if (!$this->plain && $this->variables && mt_rand(0, 5) === 0) {
                $array[$key] = &$this->variables[array_rand($this->variables)];
                continue;
            }
            $this->fill($array[$key], $depth - 1);
        }
        return $array;
    }

    private function key(): int|string
    {
        return match (mt_rand(0, 5)) {
            0 => mt_rand(0, 3),
            1, 2 => ['a', 'b', 'c', ''][mt_rand(0, 3)],
            3 => ['7', '-7', '-0', '007', '9223372036854775807', '9223372036854775808', '-9223372036854775808', '1.5', ' 1', '+1'][mt_rand(0, 9)],
            4 => $this->int(),
            5 => $this->string(),
        };
    }

    private function int(): int
    {
        $bits = unpack('q', $this->bytes(8))[1];
        return match (mt_rand(0, 2)) {
            0 => mt_rand(-3, 3),
            1 => $bits >> mt_rand(0, 63),
            2 => [PHP_INT_MAX, PHP_INT_MIN, PHP_INT_MIN + 1][mt_rand(0, 2)],
        };
    }

    private function float(): float
    {
        $float = match (mt_rand(0, 6)) {
            0 => unpack('d', $this->bytes(8))[1],
            1 => mt_rand(-100000, 100000) / 100,
            2 => (float) $this->int(),
            3 => 10.0 ** mt_rand(-330, 310),
            4 => mt_rand() / mt_rand(1, 1000),
            5 => [0.0, -0.0, INF, -INF, NAN, PHP_FLOAT_MIN, PHP_FLOAT_MAX, PHP_FLOAT_EPSILON, 0.1 + 0.2, 5e-324][mt_rand(0, 9)],
            6 => mt_rand() * 2.0 ** mt_rand(-60, 60),
        };
        return $float;
    }

    private function string(): string
    {
        return match (mt_rand(0, 4)) {
            0 => $this->plain ? "a/\"\\\x01\x7f" : $this->bytes(mt_rand(0, 12)),
            1 => ['', '0', 'é', '你好', "😀\u{2028}"][mt_rand(0, 4)],
            2 => (string) $this->int(),
            3 => ['";}', 'N;', 's:1:"x";', "R:1;\n", 'a:1:{'][mt_rand(0, 4)],
            4 => str_repeat('x', mt_rand(0, 300)),
        };
    }

    private function bytes(int $count): string
    {
        $bytes = '';
        while ($count-- > 0) {
            $bytes .= chr(mt_rand(0, 255));
        }
        return $bytes;
    }

    private function object(int $depth): stdClass
    {
        $object = new stdClass();
        foreach ($this->array($depth) as $name => $value) {
            $name = (string) $name;
            if ($name === '' || $name[0] !== "\0") {
                $object->{$name} = $value;
            }
        }
        return $object;
    }

    private function anyObject(int $depth): object
    {
        $inner = null;
        $this->fill($inner, $depth - 1);
        $object = match (mt_rand(0, 9)) {
            0, 1 => $this->object($depth),
            2 => unserialize('O:7:"Unknown":3:{s:1:"a";' . serialize([$this->string(), [$this->float()]]) . 's:4:"' . "\0*\0" . 'b";i:1;s:10:"' . "\0Unknown\0" . 'c";N;}'),
            3 => new Guarded($inner, $this->string()),
            4 => new Child($inner, $this->int()),
            5 => new Selfmade([$this->string(), [$this->int()]]),
            6 => new Old($this->string()),
            7 => Suit::cases()[mt_rand(0, 1)],
            8 => new ArrayObject([$this->string() => $inner]),
            9 => new DateTimeImmutable('@' . mt_rand()),
        };
        if ($object instanceof stdClass && mt_rand(0, 3) === 0) {
            $object->self = $object;
        }
        $this->objects[] = $object;
        return $object;
    }

    private function again(): mixed
    {
        return $this->objects ? $this->objects[array_rand($this->objects)] : null;
    }
}

function value(string $serialized): mixed
{
    $value = @unserialize($serialized);
    if ($value === false && $serialized !== 'b:0;') {
        throw new RuntimeException('not unserialized: ' . (error_get_last()['message'] ?? ''));
    }
    return $value;
}

function generated(string $payload, bool $plain, bool $circles): string
{
    ['seed' => $seed, 'depth' => $depth] = unpack('Nseed/Cdepth', $payload);
    $array = (new RandomValues($seed, $plain, $circles))->array($depth);
    return serialize($array);
}

function merged(string $payload): string
{
    $size = unpack('N', $payload)[1];
    $base = value(substr($payload, 4, $size));
    $update = value(substr($payload, 4 + $size));
    return serialize(array_replace_recursive($base, $update));
}

function answer(string $operation, string $payload): string
{
    return match ($operation) {
        'e' => serialize(value($payload)),
        'c' => generated($payload, plain: false, circles: true),
        'g' => generated($payload, plain: false, circles: false),
        'p' => generated($payload, plain: true, circles: false),
        'm' => merged($payload),
        'j' => json_encode(value($payload), JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR),
    };
}

ini_set('memory_limit', '-1');
while (($head = fread(STDIN, 4)) !== false && strlen($head) === 4) {
    $request = stream_get_contents(STDIN, unpack('N', $head)[1]);
    try {
        $answer = '+' . answer($request[0], substr($request, 1));
    } catch (Throwable $error) {
        $answer = '-' . $error->getMessage();
    }
    fwrite(STDOUT, pack('N', strlen($answer)) . $answer);
}
