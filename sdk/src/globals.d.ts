/** The few globals that every platform has. */
declare function setTimeout(callback: () => void, ms: number): any;
declare function clearTimeout(timer: any): void;
declare const console: any;
declare const crypto: any;
